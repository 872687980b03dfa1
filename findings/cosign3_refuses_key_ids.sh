#!/usr/bin/env bash
# cosign 3.1.3: a good DSSE signature is refused for the id that it gives its key; and two more ways in which
# `verify-blob-attestation` of cosign 2 and 3 do not take the same attestation.
#
# The DSSE protocol calls `keyid` a hint, which nobody has verified and by which nothing may be decided. cosign 2.6.1
# ignores it. cosign 3 skips a signature whose keyid is not the one that it has made up for the key given with --key,
# and then says "accepted signatures do not match threshold, Found: 0, Expected 1", as for a forged one. What helps is
# to take the keyid out, which is not signed.
#
# cosign 3 takes no --signature any more: the envelope has to be wrapped into a Sigstore bundle.
#
# cosign 2 looks for the blob's SHA-256 among a statement's subjects, and nothing else: one that has its SHA-512 alone
# is "no matching subject digest found". cosign 3 takes that.
#
# Needs Go, openssl and jq; builds cosign twice, which takes some minutes.
set -euo pipefail
work=$(mktemp -d)
export GOPATH=$work/go GOCACHE=$work/build HOME=$work
end() {
  chmod -R u+w "$work"
  rm -rf "$work"
}
trap end EXIT
GOBIN=$work/2 go install github.com/sigstore/cosign/v2/cmd/cosign@v2.6.1 2>/dev/null
GOBIN=$work/3 go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 2>/dev/null
cd "$work"
openssl genpkey -algorithm ed25519 -out key.pem
openssl pkey -in key.pem -pubout -out public.pem
echo 'what the attestation is about' >blob

type=application/vnd.in-toto+json
attest() { # ALGORITHM KEYID: an attestation of the blob by its digest of that kind
  jq -cn --arg kind "$1" --arg digest "$("$1sum" <blob | cut -d' ' -f1)" \
    '{_type: "https://in-toto.io/Statement/v1", subject: [{name: "blob", digest: {($kind): $digest}}],
      predicateType: "x://y/v1", predicate: {}}' >statement
  { printf 'DSSEv1 %d %s %d ' ${#type} $type "$(stat -c %s statement)"; cat statement; } >signed
  openssl pkeyutl -sign -rawin -inkey key.pem -in signed -out signature
  jq -n --arg payload "$(base64 -w0 statement)" --arg sig "$(base64 -w0 signature)" --arg keyid "$2" --arg type $type \
    '{payload: $payload, payloadType: $type, signatures: [{keyid: $keyid, sig: $sig}]}' >envelope.json
  jq '{mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", verificationMaterial: {publicKey: {hint: ""}},
       dsseEnvelope: .}' envelope.json >bundle.json
}
verify() { # cosign's MAJOR, and what is to be verified
  local major=$1
  shift
  "$work/$major/cosign" verify-blob-attestation --key public.pem --type x://y/v1 --insecure-ignore-tlog=true "$@" blob
}
said() { grep -q "$1" <<<"$2" || { echo "not as recorded: $2" >&2; exit 1; }; }

attest sha256 ''
said 'Verified OK' "$(verify 2 --signature envelope.json 2>&1)"
said 'Verified OK' "$(verify 3 --bundle bundle.json 2>&1)"
said 'unknown flag: --signature' "$(verify 3 --signature envelope.json 2>&1 || true)"
attest sha256 0123456789abcdef
said 'Verified OK' "$(verify 2 --signature envelope.json 2>&1)"
said 'Found: 0, Expected 1' "$(verify 3 --bundle bundle.json 2>&1 || true)"
attest sha512 ''
said 'no matching subject digest found' "$(verify 2 --signature envelope.json 2>&1 || true)"
said 'Verified OK' "$(verify 3 --bundle bundle.json 2>&1)"
echo "as recorded: cosign 3 goes by the keyid of a DSSE signature, and cosign 2 by SHA-256 alone"
