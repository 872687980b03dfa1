#!/usr/bin/env bash
# cosign 3.1.3 and distribution 2.8.2: `garbage-collect --delete-untagged` removes the signature of an image that is
# tagged, and after that the image can be signed no more.
#
# cosign 2 gave a signature a tag of its own (`sha256-<digest>.sig`), which the collection honours. cosign 3 stores a
# manifest without a tag, and names it in an index under the tag `sha256-<digest>`. 2.8.2 does not follow an index when
# it looks for manifests without tags: what is only in an index is removed, and the index stays. From then on
# - `cosign verify` says "no signatures found", as of an image that nobody has ever signed;
# - `cosign sign` and `oras attach` add to the index that is there, and the registry refuses the new one as a whole,
#   MANIFEST_BLOB_UNKNOWN, for the entry that leads nowhere. What they have pushed before that stays, listed by nothing.
# What helps is to bring the manifest and its layer back, by their digests, from a backup; or to delete the index, and
# with it what else it names.
#
# The collection of 3.1.2 follows the index. It refuses new signatures in the same way where one was deleted by its
# digest, as `crane delete` does it: the entry stays in the list.
#
# Needs Go, curl, jq and Debian's apt (2.8.2 is fetched and not installed); builds cosign, which takes some minutes.
set -euo pipefail
work=$(mktemp -d)
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build HOME=$work COSIGN_PASSWORD=practice
server=
stop() { [ -z "$server" ] || { kill "$server"; wait "$server" || true; server=; }; }
trap 'stop; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 2>/dev/null
go install oras.land/oras/cmd/oras@v1.3.6 2>/dev/null
apt-get -q download docker-registry >/dev/null 2>&1
dpkg-deb -x docker-registry_2.8.2*.deb .
port=$((20000 + RANDOM % 10000))
name=127.0.0.1:$port/team/app
api=http://127.0.0.1:$port/v2/team/app
cat >config.yml <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/data}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$port", secret: none}
YAML
start() {
  usr/bin/docker-registry serve config.yml 2>>log &
  server=$!
  for _ in $(seq 100); do ! curl -s "http://127.0.0.1:$port/v2/" >/dev/null || return 0; sleep 0.1; done
  return 1
}
sign() { bin/cosign sign --key cosign.key --tlog-upload=false --use-signing-config=false --yes "$name@$image" >said 2>&1; }
verify() { bin/cosign verify --key cosign.pub --insecure-ignore-tlog=true "$name@$image" >said 2>&1; }
listed() { curl -sf -H 'Accept: application/vnd.oci.image.index.v1+json' "$api/manifests/${image/:/-}"; }

start
echo 'any layer' >layer
bin/oras push --plain-http "$name:v1" layer >said
image=$(bin/oras resolve --plain-http "$name:v1")
bin/cosign generate-key-pair >said 2>&1
sign
verify
signature=$(listed | jq -r '.manifests[].digest')
bin/oras cp --from-plain-http --to-oci-layout "$name@$signature" kept:it >said 2>&1
stop
usr/bin/docker-registry garbage-collect --delete-untagged config.yml >said 2>&1
grep -qx "manifest eligible for deletion: $signature" said
cp -a data collected

start
[ "$(listed | jq -r '.manifests[].digest')" = "$signature" ]
[ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Accept: */*' "$api/manifests/$signature")" = 404 ]
if verify; then exit 1; fi
grep -q 'no signatures found' said
if sign; then exit 1; fi
grep -q "MANIFEST_BLOB_UNKNOWN: blob unknown to registry; $signature" said
if bin/oras attach --plain-http --artifact-type application/spdx+json "$name:v1" layer >said 2>&1; then exit 1; fi
grep -q "blob unknown to registry: $signature" said

bin/oras cp --from-oci-layout --to-plain-http kept:it "$name" >said 2>&1
verify
sign
stop

rm -r data
cp -a collected data
start
index=sha256:$(listed | sha256sum | cut -d' ' -f1)
curl -sf -X DELETE "$api/manifests/$index"
sign
verify
echo "as recorded: a collection removes signatures of cosign 3, and then none can be added"
