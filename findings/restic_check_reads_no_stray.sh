#!/usr/bin/env bash
# restic 0.18.1: `check --read-data` reads no pack that no index names, says so to nobody in particular, and exits
# with 0; which packs these are it tells only with --verbose.
#
# Such packs are left by a backup that was cut off, and are there for a while during every backup: a list of packs that
# was taken before the check is not a list of what the check has read. Whoever writes down which packs were proved has
# to ask for --verbose and to leave those out.
#
# Seen: a pack of noise under a wrong name, in a repository of one snapshot, passed `check --read-data-subset=1/1`.
# Needs Go; takes a minute.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build
go install github.com/restic/restic/cmd/restic@v0.18.1 2>/dev/null
restic() { "$GOBIN/restic" "$@"; }
export RESTIC_REPOSITORY=$work/repository RESTIC_PASSWORD=secret RESTIC_CACHE_DIR=$work/cache
restic version | grep -o '^restic 0\.18\.1'

mkdir "$work/data"
head -c 3000000 /dev/urandom >"$work/data/file"
restic -q init
restic -q backup "$work/data"
indexed=$(restic -q list packs | wc -l)
stray=aa$(printf '%062d' 0)
mkdir -p "$RESTIC_REPOSITORY/data/aa"
head -c 1000 /dev/urandom >"$RESTIC_REPOSITORY/data/aa/$stray"
[ "$(restic -q list packs | wc -l)" -eq $((indexed + 1)) ]

said=$(restic check --read-data-subset=1/1 2>&1)   # exit code 0, or this script ends
grep -q '1 additional files were found' <<<"$said"
grep -q "$indexed / $indexed packs" <<<"$said"
grep -q 'no errors were found' <<<"$said"
if grep -q "$stray" <<<"$said"; then exit 1; fi
said=$(restic check --verbose --read-data-subset=1/1 2>&1)
grep -q "pack $stray: not referenced in any index" <<<"$said"
echo "as recorded: a pack of noise passed, and only --verbose names it"
