#!/usr/bin/env bash
# docker-registry 2.8.2: no image can be pushed where `blobs` is a file system of its own, such as a ZFS dataset with
# other properties than `repositories`. It answers 500 to the end of every upload.
#
# An upload is written below `repositories/NAME/_uploads` and renamed into `blobs`, which no kernel does across file
# systems: EXDEV (18), two datasets of one ZFS pool included. There is no fallback that copies. Reading goes on, so
# pulls work, and whoever has just moved the blobs sees it with the first push. The boundary may be above both, at
# `docker` or `docker/registry/v2`.
#
# Needs Debian's apt (the registry is fetched and not installed), curl, and root for a mount in a namespace of its own;
# takes some seconds.
set -euo pipefail
if [ "${1:-}" != inside ]; then exec unshare --mount --propagation private -- bash "$0" inside; fi
work=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || { kill "$registry"; wait "$registry" || true; }; umount -R "$work/root/docker"; rm -rf "$work"' EXIT
tree=$work/root/docker/registry/v2
mkdir -p "$work/root/docker"
mount -t tmpfs tmpfs "$work/root/docker"      # a boundary above both does no harm
mkdir -p "$tree/blobs"
port=$((20000 + RANDOM % 10000))
cat >"$work/config.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/root}}
http: {addr: "127.0.0.1:$port", secret: none}
YAML
(cd "$work" && apt-get -q download docker-registry >/dev/null 2>&1 && dpkg-deb -x docker-registry_2.8.2*.deb .)
"$work/usr/bin/docker-registry" serve "$work/config.yml" >"$work/log" 2>&1 &
registry=$!
until curl -fs -o "$work/answer" "http://127.0.0.1:$port/v2/"; do kill -0 "$registry"; sleep 0.05; done

push() {
  local digest where
  digest=sha256:$(printf %s "$1" | sha256sum | cut -d' ' -f1)
  where=$(curl -fsi -X POST "http://127.0.0.1:$port/v2/a/blobs/uploads/" | tr -d '\r' | awk 'tolower($1) == "location:" { print $2 }')
  curl -s -o "$work/answer" -w '%{http_code}' -X PUT --data-binary "$1" -H 'Content-Type: application/octet-stream' \
    "$where&digest=$digest"
}

[ "$(push before)" = 201 ]
mount -t tmpfs tmpfs "$tree/blobs"
[ "$(push after)" = 500 ]
grep -q '"Op":"rename".*"Err":18' "$work/answer"
umount "$tree/blobs"
[ "$(push again)" = 201 ]
echo "as recorded: blobs on a file system of their own take no push"
