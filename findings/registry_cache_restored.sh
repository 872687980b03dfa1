#!/usr/bin/env bash
# distribution 3.1.2: what becomes of a restored pull-through cache is decided by one small file beside the images,
# `scheduler-state.json` in the root directory. Restored with it, the cache removes, as soon as it starts, whatever it
# had pulled longer ago than `proxy.ttl` (a week, unless told otherwise): a backup of last month comes back as tags that
# lead nowhere, and manifests without their layers. Restored without it, nothing that came back is ever removed, pulled
# or not: a time is written down only when something comes from the upstream, and what is there is not fetched again.
# Where `delete.enabled` is not set, what is due is tried once, refused ("operation unsupported"), and struck off.
#
# And a cache does not start at all where its upstream does not answer: it asks for /v2/ before it listens, and ends
# ("panic: Get ... connection refused"). So the images that were cached against the day when the
# upstream is away cannot be served by that configuration on that day. Without its `proxy` section the same registry
# starts, and serves what the directory has by tag and by digest.
#
# Seen: a tag with one layer, a ttl of 12 seconds, and a copy of the directory that was made before that and started
# after it. Needs Go, curl and jq; takes three minutes.
set -euo pipefail
work=$(mktemp -d)
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build OTEL_TRACES_EXPORTER=none
declare -A server=()
stop() { # NAME
  [ -z "${server[$1]:-}" ] || { kill "${server[$1]}"; wait "${server[$1]}" || true; }
  unset "server[$1]"
}
trap 'stop upstream; stop cache; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
go install github.com/distribution/distribution/v3/cmd/registry@v3.1.2 2>/dev/null
upstream=$((20000 + RANDOM % 5000))
cache=$((26000 + RANDOM % 5000))

configure() { # NAME PORT DELETE [PROXY]
  cat >"$1.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/$1}, delete: {enabled: $3}}
http: {addr: "127.0.0.1:$2", secret: none}
${4:-}
YAML
}

start() { # NAME PORT
  bin/registry serve "$1.yml" 2>"$1.log" &
  server[$1]=$!
  for _ in $(seq 100); do ! curl -s "http://127.0.0.1:$2/v2/" >/dev/null || return 0; sleep 0.1; done
  return 1
}

blob() { # TEXT: pushes it, and says its digest
  local digest upload
  digest=sha256:$(printf %s "$1" | sha256sum | cut -d' ' -f1)
  upload=$(curl -si -X POST "http://127.0.0.1:$upstream/v2/app/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //ip')
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' -d "$1" "$upload&digest=$digest"
  echo "$digest"
}

answer() { # PATH: the cache's answer to a request for it
  curl -s -o body -w '%{http_code}' -H "Accept: $type" "http://127.0.0.1:$cache/v2/app/$1"
}

layers() { find "$1" -name data -path "*/${layer#*:}/*" | wc -l; }

type=application/vnd.oci.image.manifest.v1+json
configure upstream "$upstream" false
start upstream "$upstream"
layer=$(blob 'any layer')
config=$(blob '{}')
jq -cn --arg type "$type" --arg layer "$layer" --arg config "$config" '{
  schemaVersion: 2, mediaType: $type,
  config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: 2},
  layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar", digest: $layer, size: 9}]}' >manifest
curl -sf -X PUT -H "Content-Type: $type" --data-binary @manifest "http://127.0.0.1:$upstream/v2/app/manifests/latest"

proxy="proxy: {remoteurl: 'http://127.0.0.1:$upstream', ttl: 12s}"
configure cache "$cache" true "$proxy"
start cache "$cache"
[ "$(answer manifests/latest) $(answer "blobs/$layer")" = '200 200' ]
pulled=$SECONDS
until [ -e cache/scheduler-state.json ]; do [ $((SECONDS - pulled)) -lt 10 ]; sleep 0.5; done
sleep 0.5
stop cache
[ "$(layers cache)" -eq 1 ]
jq -e --arg key "app@$layer" '.[$key].ExpiryData' cache/scheduler-state.json >/dev/null
cp -a cache backup
sleep 13

again() { rm -r cache; cp -a backup cache; }

# With the file: gone before anybody asks, all but the bytes of the manifest, which no repository names.
start cache "$cache"
sleep 7
[ "$(layers cache)" -eq 0 ]
[ "$(find cache -name link -printf '%P\n' | grep -cv '_manifests/tags/latest/')" -eq 0 ]
[ "$(cat cache/scheduler-state.json)" = '{}' ]
stop cache

# The same, where nothing may be deleted.
again
configure cache "$cache" false "$proxy"
start cache "$cache"
sleep 7
grep -q 'OnExpire(app@.*: operation unsupported' cache.log
[ "$(layers cache)" -eq 1 ]
[ "$(cat cache/scheduler-state.json)" = '{}' ]
stop cache

# Without it: still there when the time is over, after a pull too, and no time is written down.
again
configure cache "$cache" true "$proxy"
rm cache/scheduler-state.json
start cache "$cache"
[ "$(answer manifests/latest) $(answer "blobs/$layer")" = '200 200' ]
sleep 20
[ "$(layers cache)" -eq 1 ]
[ ! -e cache/scheduler-state.json ]
stop cache

# The upstream is away.
stop upstream
if timeout 60 bin/registry serve cache.yml 2>said; then exit 1; fi
grep -q "^panic: Get \"http://127.0.0.1:$upstream/v2/\"" said
configure cache "$cache" true
start cache "$cache"
[ "$(answer manifests/latest) $(answer "blobs/$layer")" = '200 200' ]
echo "as recorded: a restored cache forgets at once, or never, and needs its upstream to start"
