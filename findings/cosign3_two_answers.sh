#!/usr/bin/env bash
# cosign 3.1.3: `verify-blob-attestation` has two answers to one and the same attestation, by the option it comes with.
#
# - The DSSE protocol calls `keyid` a hint, which nobody has verified and by which nothing may be decided. With
#   --signature cosign ignores it. With --bundle, the same envelope in a Sigstore bundle, it skips a signature whose
#   keyid is not the one that it has made up for the key given with --key, and says "accepted signatures do not match
#   threshold, Found: 0, Expected 1", as of a forged one. What helps is to take the keyid out, which is not signed.
# - With --signature (deprecated, and no longer in --help) it looks among the subjects for the blob's SHA-256 alone: a
#   statement that has its SHA-512 is "no matching subject digest found". With --bundle it takes that.
#
# So whoever attests should name the SHA-256, and give no keyid. cosign 2.5 and 2.6.1 do with --signature as 3.1.3 does.
#
# Needs Go, openssl and jq; builds cosign, which takes some minutes.
set -euo pipefail
work=$(mktemp -d)
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build HOME=$work
end() {
  chmod -R u+w "$work"
  rm -rf "$work"
}
trap end EXIT
go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 2>/dev/null
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
verify() {
  "$GOBIN/cosign" verify-blob-attestation --key public.pem --type x://y/v1 --insecure-ignore-tlog=true "$@" blob 2>&1
}
says() { # WORDS, and what is to be verified
  local words=$1 said
  shift
  said=$(verify "$@" || true)
  grep -q "$words" <<<"$said" || { echo "not as recorded: $*: $said" >&2; exit 1; }
}

attest sha256 ''
says 'Verified OK' --signature envelope.json
says 'Verified OK' --bundle bundle.json
attest sha256 0123456789abcdef
says 'Verified OK' --signature envelope.json
says 'Found: 0, Expected 1' --bundle bundle.json
attest sha512 ''
says 'no matching subject digest found' --signature envelope.json
says 'Verified OK' --bundle bundle.json
echo "as recorded: one attestation passes by --signature and fails by --bundle, and another the other way round"
