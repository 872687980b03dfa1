#!/usr/bin/env bash
# restic 0.18.1: a repository that is made on a busy machine is protected by a cheaper key, for good.
#
# `init` and `key add` look for the parameters of scrypt that take half a second, by the clock on the wall, not by the
# processor's. What else runs at that moment counts as work of the derivation. The parameters stand in the key file
# and are never looked at again: whoever guesses passwords pays what the machine could spare in that half second, and
# each later command of the owner pays that as well. `key list` does not show them; `restic cat key ID` does.
#
# Seen: scrypt with N=32768 r=8 p=6 on an idle machine, N=8192 r=8 p=1 beside sixteen busy loops on one processor: a
# twenty-fourth of the cost, and less than a tenth in each run. Needs Go; takes a minute.
set -euo pipefail
work=$(mktemp -d)
loops=()
finish() {
  [ "${#loops[@]}" -eq 0 ] || kill "${loops[@]}" 2>/dev/null || true
  chmod -R u+w "$work"
  rm -rf "$work"
}
trap finish EXIT
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build
go install github.com/restic/restic/cmd/restic@v0.18.1 2>/dev/null
export RESTIC_PASSWORD=secret RESTIC_CACHE_DIR=$work/cache
"$GOBIN/restic" version | grep -o '^restic 0\.18\.1'

# The cost of the key of a new repository: scrypt's time grows with the product.
cost() {
  "$@" "$GOBIN/restic" -q -r "$work/repository" init
  key=$(echo "$work"/repository/keys/*)
  grep -oE '"(N|r|p)":[0-9]+' "$key" | cut -d: -f2 | paste -sd'*' | bc
  rm -rf "$work/repository"
}

idle=0
for _ in 1 2 3; do
  found=$(cost env)
  [ "$found" -le "$idle" ] || idle=$found
done
for _ in {1..16}; do
  taskset -c 0 sh -c 'while :; do :; done' &
  loops+=($!)
done
busy=$(cost taskset -c 0)
[ $((busy * 2)) -le "$idle" ]
echo "as recorded: N*r*p is $idle on the machine as it was, $busy beside busy loops"
