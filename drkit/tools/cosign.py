"""cosign's keys and signatures.

A private key is JSON in PEM: scrypt over the password gives the key of NaCl's secretbox
(XSalsa20-Poly1305), in which the PKCS#8 key stands (sigstore's encrypted package). PyNaCl opens it, even
where `cosign` is installed: so neither the key nor its password is given to another process, or put on a
disk.

A signature is a manifest whose layers are payloads ("simple signing" JSON, its signature in an annotation),
or sigstore bundles with a DSSE envelope (cosign's SIGNATURE_SPEC, sigstore's bundle.proto, the DSSE
protocol).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_public_key,
)
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from drkit.tools.process import execute
from drkit.tools.process.command import Command, Completed, find_program, which

_KEY = re.compile(rb"-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----([^-]*)-----END ")
# What cosign itself uses is 2^16, 8, 1. More would be memory that a forged key file asks for.
_MOST = {"N": 1 << 18, "r": 16, "p": 4}
_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_BUNDLE = "application/vnd.dev.sigstore.bundle"
_SIGNATURE = "dev.cosignproject.cosign/signature"
# A signature of a short-lived certificate's key, not of a key pair.
_KEYLESS = "dev.sigstore.cosign/certificate"

_NO_ROOTS = b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'

_LONGER = {"secp384r1": (hashes.SHA384(),), "secp521r1": (hashes.SHA512(),)}

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class WrongPassword(ValueError):
    """The password does not open the key."""


@dataclass(frozen=True)
class Signature:
    """One signature as its manifest describes it; `payload` is the digest of a layer.

    `value` is the signature's bytes, or empty where they stand in the layer itself (a sigstore bundle).
    """

    payload: str
    size: int
    value: bytes = b""


def open_private_key(data: bytes, password: bytes) -> PrivateKey:
    """The key in an encrypted cosign key file; raises WrongPassword, or ValueError for what is none."""
    found = _KEY.search(data)
    if found is None:
        raise ValueError("it is not an encrypted cosign key")
    try:
        document = json.loads(base64.b64decode(b"".join(found[1].split()), validate=True))
        kdf, cipher = document["kdf"], document["cipher"]
        if (kdf["name"], cipher["name"]) != ("scrypt", "nacl/secretbox"):
            raise ValueError(f"it is encrypted in a way that drkit does not know: {cipher['name']}")
        cost = {name: int(kdf["params"][name]) for name in _MOST}
        if any(cost[name] > most for name, most in _MOST.items()):
            raise ValueError("it asks for more memory than any cosign key does")
        salt, nonce = base64.b64decode(kdf["salt"]), base64.b64decode(cipher["nonce"])
        sealed = base64.b64decode(document["ciphertext"])
        key = Scrypt(salt=salt, length=SecretBox.KEY_SIZE, n=cost["N"], r=cost["r"], p=cost["p"])
        plain = SecretBox(key.derive(password)).decrypt(sealed, nonce)
        private = load_der_private_key(plain, password=None)
    except CryptoError:
        raise WrongPassword("the password does not open it") from None
    except (KeyError, TypeError, binascii.Error, UnsupportedAlgorithm) as error:
        raise ValueError(f"it is not an encrypted cosign key: {error}") from None
    if not isinstance(private, PrivateKey):
        raise ValueError("it is a key of another kind than cosign signs with")
    return private


def public_half(private: PrivateKey) -> bytes:
    """The public key in PEM, as cosign.pub holds it."""
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def new_private_key() -> PrivateKey:
    """A key of the kind that cosign makes."""
    return ec.generate_private_key(ec.SECP256R1())


def sign(private: PrivateKey, payload: bytes) -> bytes:
    """A signature as cosign makes it: over the SHA-256, or over the payload itself with Ed25519."""
    match private:
        case ec.EllipticCurvePrivateKey():
            return private.sign(payload, ec.ECDSA(hashes.SHA256()))
        case rsa.RSAPrivateKey():
            return private.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        case _:
            return private.sign(payload)


def verifies(public: bytes, signature: bytes, payload: bytes) -> bool:
    """Whether the PEM public key's other half made the signature; raises ValueError for what is no key."""
    try:
        key = load_pem_public_key(public)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    match key:
        case ec.EllipticCurvePublicKey():
            # Versions of cosign differ in the hash for longer curves; the key alone makes either certain.
            return any(
                _holds(lambda way=way: key.verify(signature, payload, ec.ECDSA(way)))  # type: ignore[misc]
                for way in (hashes.SHA256(), *_LONGER.get(key.curve.name, ()))
            )
        case rsa.RSAPublicKey():
            return _holds(lambda: key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256()))
        case ed25519.Ed25519PublicKey():
            return _holds(lambda: key.verify(signature, payload))
        case _:
            return False


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except InvalidSignature:
        return False
    return True


def signatures(manifest: bytes) -> Iterator[Signature]:
    """The signatures that a manifest holds, but for those without a key pair; nothing for other manifests."""
    try:
        document: dict[str, Any] = json.loads(manifest)
        for layer in document.get("layers") or ():
            notes = layer.get("annotations") or {}
            kind, digest, size = str(layer.get("mediaType", "")), str(layer["digest"]), int(layer["size"])
            if kind == _PAYLOAD and _SIGNATURE in notes and _KEYLESS not in notes:
                yield Signature(digest, size, base64.b64decode(notes[_SIGNATURE], validate=True))
            elif kind.startswith(_BUNDLE):
                yield Signature(digest, size)
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def subjects(signature: Signature, layer: bytes, public: bytes) -> frozenset[str]:
    """The digests of what was signed, if the signature is that of the public key; else none.

    Raises ValueError for a public key that is none.
    """
    try:
        if signature.value:
            if not verifies(public, signature.value, layer):
                return frozenset()
            return frozenset((str(json.loads(layer)["critical"]["image"]["docker-manifest-digest"]),))
        return _subjects_of_bundle(json.loads(layer), public)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, binascii.Error):
        return frozenset()


def _subjects_of_bundle(bundle: Any, public: bytes) -> frozenset[str]:
    envelope = bundle["dsseEnvelope"]
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"], validate=True)
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    values = [base64.b64decode(each["sig"], validate=True) for each in envelope["signatures"]]
    if not any(verifies(public, value, signed) for value in values):
        return frozenset()
    named = (each["digest"].get("sha256") for each in json.loads(payload)["subject"])
    return frozenset(f"sha256:{digits}" for digits in named if digits)


def installed() -> bool:
    """Whether the program is there."""
    return which("cosign") is not None


def program_verifies(public: bytes, signature: Signature, payload: bytes, directory: Path) -> bool:
    """What `cosign verify-blob` says, without any service on the network; all that it is given is public.

    Files go to `directory`, which is private; raises ToolMissing.
    """
    files = {"key": public, "signature": base64.b64encode(signature.value), "payload": payload}
    options = ("--key", "key", "--signature", "signature", "--insecure-ignore-tlog=true", "--offline=true")
    return _run(directory, files, "verify-blob", *options, "payload").code == 0


def program_verifies_bundle(public: bytes, bundle: bytes, artifact: bytes, directory: Path) -> bool | None:
    """What the program says of a sigstore bundle over an artifact's bytes, without asking the network.

    None where this version cannot do that. With a key in hand it would ask for sigstore's own roots all the
    same, even with --private-infrastructure (2.5.0): it is given a list of roots that has none in it.
    """
    files = {"key": public, "bundle": bundle, "artifact": artifact, "roots": _NO_ROOTS}
    statement = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
    options = ("--key", "key", "--bundle", "bundle", "--new-bundle-format", "--trusted-root", "roots")
    more = ("--insecure-ignore-tlog=true", "--type", str(statement["predicateType"]))
    ended = _run(directory, files, "verify-blob-attestation", *options, *more, "artifact")
    return None if "unknown flag" in ended.stderr else ended.code == 0


def _run(directory: Path, files: Mapping[str, bytes], *words: str) -> Completed:
    """Run the program in a directory with these files."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)
    return execute.run(
        Command((find_program("cosign"), *words), {"HOME": str(directory)}, directory=directory)
    )
