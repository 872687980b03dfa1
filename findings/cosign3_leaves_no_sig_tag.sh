#!/usr/bin/env bash
# cosign 3.0.2: a signature no longer has a tag that ends in .sig; where the registry lists no referrers, all that refers
# to an image shares one tag, which every further signature moves.
#
# `cosign sign` stores a bundle as an OCI referrer now. Against distribution 3.0.0, which has no referrers API, the
# client keeps an index of them under the tag `sha256-<digest>`, without a suffix. So
# - whatever copies or restores `sha256-<digest>.sig` copies no signature of cosign 3;
# - the tag is a list that grows: what was written over it from an older copy would lose newer signatures, and to call
#   a tag that moved a conflict would be wrong.
#
# The list itself does not tell signatures from anything else: as artifactType it has that of the empty configuration,
# where the manifest says that it is a bundle; whoever asks the list for bundles by type finds none.
#
# Seen: after one signature the index has one manifest, of type application/vnd.oci.empty.v1+json, after a second one
# the same tag leads to another index, of two; no tag ends in .sig.
# Needs Go and curl; builds cosign, which takes some minutes.
set -euo pipefail
work=$(mktemp -d)
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build HOME=$work COSIGN_PASSWORD=practice
server=
end() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  chmod -R u+w "$work"
  rm -rf "$work"
}
trap end EXIT
go install github.com/distribution/distribution/v3/cmd/registry@v3.0.0 2>/dev/null
go install github.com/sigstore/cosign/v3/cmd/cosign@v3.0.2 2>/dev/null
cat >"$work/config.yml" <<EOF
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/data}}
http: {addr: "127.0.0.1:15998"}
EOF
OTEL_TRACES_EXPORTER=none "$GOBIN/registry" serve "$work/config.yml" 2>"$work/log" &
server=$!
name=127.0.0.1:15998/a/b
api=http://127.0.0.1:15998/v2/a/b
for _ in $(seq 100); do curl -s http://127.0.0.1:15998/v2/ >/dev/null && break; sleep 0.1; done

push_blob() { # FILE: prints its digest
  local digest place
  digest=sha256:$(sha256sum "$1" | cut -d' ' -f1)
  place=$(curl -si -X POST "$api/blobs/uploads/" | sed -n 's/^[Ll]ocation: *//p' | tr -d '\r')
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$place&digest=$digest"
  echo "$digest"
}
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >"$work/image"
config=$(push_blob "$work/image")
type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%d},"layers":[]}' \
  "$type" application/vnd.oci.image.config.v1+json "$config" "$(stat -c %s "$work/image")" >"$work/manifest"
curl -sf -X PUT -H "Content-Type: $type" --data-binary "@$work/manifest" "$api/manifests/v1"
digest=sha256:$(sha256sum "$work/manifest" | cut -d' ' -f1)

cd "$work"
cosign() { "$GOBIN/cosign" "$@" 2>"$work/said" || { cat "$work/said" >&2; return 1; }; }
cosign generate-key-pair
listed() { curl -sf -H 'Accept: application/vnd.oci.image.index.v1+json' "$api/manifests/${digest/:/-}"; }
count() { grep -o '"artifactType":"application/vnd.oci.empty.v1+json"' <<<"$1" | wc -l; }
cosign sign --key cosign.key --tlog-upload=false --use-signing-config=false --yes "$name@$digest"
first=$(listed)
cosign sign --key cosign.key --tlog-upload=false --use-signing-config=false --yes "$name@$digest"
second=$(listed)
tags=$(curl -sf "$api/tags/list")
echo "tags: $tags"
[ "$(count "$first") $(count "$second")" = "1 2" ]
[ "$first" != "$second" ]
grep -q "\"${digest/:/-}\"" <<<"$tags"
grep -q '\.sig"' <<<"$tags" && exit 1
echo "as recorded: cosign 3.0.2 keeps its signatures in one moving list, and leaves no .sig tag"
