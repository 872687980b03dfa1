#!/usr/bin/env bash
# distribution 3.0.0: reading a blob of a few bytes costs the registry four megabytes of garbage.
#
# Whatever the storage driver, it opens each blob through a reader that sets aside a buffer of 4 MiB, and drops it with
# the request. HEAD opens no reader. A client that pulls many small blobs (a check of all manifests and configurations,
# say) makes the registry collect garbage most of the time; GOGC=off with GOMEMLIMIT ends that.
#
# Counted: the lines of GODEBUG=gctrace=1 for 300 HEAD and for 300 GET requests of one blob of 5 bytes.
# Needs Go and curl; takes two minutes.
set -euo pipefail
work=$(mktemp -d)
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build
server=
end() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  chmod -R u+w "$work"
  rm -rf "$work"
}
trap end EXIT
go install github.com/distribution/distribution/v3/cmd/registry@v3.0.0 2>/dev/null
cat >"$work/config.yml" <<EOF
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/data}, cache: {blobdescriptor: inmemory}}
http: {addr: "127.0.0.1:15999"}
EOF
OTEL_TRACES_EXPORTER=none GODEBUG=gctrace=1 "$GOBIN/registry" serve "$work/config.yml" 2>"$work/log" &
server=$!
address=http://127.0.0.1:15999/v2/a/b
for _ in $(seq 100); do curl -s "http://127.0.0.1:15999/v2/" >/dev/null && break; sleep 0.1; done

printf hello >"$work/blob"
digest=sha256:$(sha256sum "$work/blob" | cut -d' ' -f1)
place=$(curl -si -X POST "$address/blobs/uploads/" | sed -n 's/^[Ll]ocation: *//p' | tr -d '\r')
code=$(curl -s -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Type: application/octet-stream' \
  --data-binary "@$work/blob" "$place&digest=$digest")
[ "$code" = 201 ]

collections() { grep -c '^gc [0-9]' "$work/log" || true; }
ask() { # METHOD
  local before
  before=$(collections)
  for _ in $(seq 300); do printf 'url = "%s/blobs/%s"\noutput = "/dev/null"\n' "$address" "$digest"; done >"$work/urls"
  curl -s "$@" -K "$work/urls"
  echo $(($(collections) - before))
}
ask >/dev/null # warm
heads=$(ask -I)
gets=$(ask)
echo "garbage collections: $heads for 300 HEAD, $gets for 300 GET of 5 bytes"
[ "$gets" -ge 50 ] && [ $((heads * 10)) -le "$gets" ]
echo "as recorded: distribution 3.0.0 allocates megabytes for each small blob that it hands out"
