#!/usr/bin/env bash
# restic 0.18.1: `forget --prune` takes away the data of a snapshot that it could not remove, and exits with 0. The
# snapshot is still there; from then on every `check` and every `prune` of that repository fails.
#
# A server may refuse to remove one file and remove the next (a lock on an object, a right that is missing, a file that
# is immutable). Whoever forgets snapshots has to look which are still there, and to prune only after that, in another
# restic.
#
# Seen: a snapshot whose file is immutable, in a repository of two. Needs Go, root, and a file system with `chattr +i`
# below $TMPDIR or /var/tmp; takes a minute.
set -euo pipefail
work=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
trap 'chattr -R -i "$work/repository" 2>/dev/null || true; chmod -R u+w "$work"; rm -rf "$work"' EXIT
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build
go install github.com/restic/restic/cmd/restic@v0.18.1 2>/dev/null
restic() { "$GOBIN/restic" "$@"; }
export RESTIC_REPOSITORY=$work/repository RESTIC_PASSWORD=secret RESTIC_CACHE_DIR=$work/cache
restic version | grep -o '^restic 0\.18\.1'

restic -q init
head -c 3000000 /dev/urandom | restic -q backup --stdin --stdin-filename first
first=$(restic list snapshots)
head -c 3000000 /dev/urandom | restic -q backup --stdin --stdin-filename second
restic -q check

chattr +i "$RESTIC_REPOSITORY/snapshots/$first"
restic forget --prune "$first" >"$work/said" 2>&1   # exit code 0, or this script ends
grep -q 'unable to remove snapshot' "$work/said"
restic list snapshots | grep -q "$first"
if restic -q --no-cache dump "$first" first >/dev/null 2>&1; then exit 1; fi
if restic -q check >/dev/null 2>&1; then exit 1; fi
if restic -q prune >/dev/null 2>&1; then exit 1; fi
echo "as recorded: the snapshot stayed, its data went, and check and prune fail"
