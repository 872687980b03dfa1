#!/usr/bin/env bash
# distribution 3.1.2 and 2.8.2: `garbage-collect` removes the layers of an image that is in use, where its manifest
# names them by SHA-512. The tag stays, the manifest is served, and the layer is answered with 404.
#
# The image specification knows SHA-512 as well as SHA-256, and both versions take such a layer. They store it by its
# SHA-256, and keep a second link in the repository, `_layers/sha512/HEX/link`, whose text is the SHA-256. The mark
# phase writes down the digest that the manifest has, the sweep looks for the digest that the directory has: the layer
# is not among what was marked. 3.1.2 takes the first link away with it, and, having done so once, ends with
# "failed to delete layer link ... Path not found" when it meets the second, which has the same text: what it was to
# remove in the repositories after that one stays.
#
# So a closure that holds before the collection does not after it, although nobody removed anything. A backup that was
# taken in between is all that has these layers. What a repository has under `_layers/sha512` tells who is concerned.
#
# Needs Go, curl, jq and Debian's apt (2.8.2 is fetched and not installed); takes two minutes.
set -euo pipefail
work=$(mktemp -d)
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build OTEL_TRACES_EXPORTER=none
server=
stop() { [ -z "$server" ] || { kill "$server"; wait "$server" || true; server=; }; }
trap 'stop; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
go install github.com/distribution/distribution/v3/cmd/registry@v3.1.2 2>/dev/null
apt-get -q download docker-registry >/dev/null 2>&1
dpkg-deb -x docker-registry_2.8.2*.deb .
port=$((20000 + RANDOM % 10000))
address=http://127.0.0.1:$port/v2/team/app
manifest_type=application/vnd.oci.image.manifest.v1+json

start() { # PROGRAM: a registry on the directory of its own
  "$1" serve config.yml >>log 2>&1 &
  server=$!
  for _ in $(seq 100); do ! curl -s "http://127.0.0.1:$port/v2/" >/dev/null || return 0; sleep 0.1; done
  return 1
}

blob() { # FILE DIGEST
  upload=$(curl -si -X POST "$address/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //ip')
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$upload&digest=$2"
}

answer() { curl -s -o /dev/null -w '%{http_code}' -H "Accept: $manifest_type" "$address/$1"; }

echo 'any layer' >layer
echo '{}' >config
layer=sha512:$(sha512sum <layer | cut -d' ' -f1)
short=$(sha256sum <layer | cut -d' ' -f1)
config=sha256:$(sha256sum <config | cut -d' ' -f1)
jq -cn --arg type "$manifest_type" --arg layer "$layer" --arg config "$config" '{
  schemaVersion: 2, mediaType: $type,
  config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: 3},
  layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar", digest: $layer, size: 10}]}' >manifest

for program in bin/registry usr/bin/docker-registry; do
  rm -rf data
  cat >config.yml <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/data}}
http: {addr: "127.0.0.1:$port", secret: none}
YAML
  start "$program"
  blob layer "$layer"
  blob config "$config"
  curl -sf -X PUT -H "Content-Type: $manifest_type" --data-binary @manifest "$address/manifests/latest"
  [ "$(answer manifests/latest) $(answer "blobs/$layer")" = '200 200' ]
  stop

  tree=data/docker/registry/v2
  [ "$(cat "$tree/repositories/team/app/_layers/sha512/${layer#*:}/link")" = "sha256:$short" ]
  [ -e "$tree/blobs/sha256/${short:0:2}/$short/data" ]
  code=0
  "$program" garbage-collect config.yml >said 2>&1 || code=$?
  grep -q "marking blob $layer" said
  grep -q "blob eligible for deletion: sha256:$short" said
  [ ! -e "$tree/blobs/sha256/${short:0:2}/$short" ]
  case $program in
    bin/*) [ "$code" -eq 1 ] && grep -q 'failed to delete layer link .* Path not found' said ;;
    *) [ "$code" -eq 0 ] ;;
  esac

  start "$program"
  [ "$(answer manifests/latest) $(answer "blobs/$layer")" = '200 404' ]
  stop
done
echo "as recorded: a collection removes layers that a manifest names by SHA-512"
