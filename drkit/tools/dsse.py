"""DSSE envelopes signed with ed25519 keys: a payload, its type, and who vouches for both.

The format is that of secure-systems-lab/dsse, in which in-toto's attestations travel and which cosign reads.
Keys are PEM files as OpenSSL writes them: PKCS#8 without a passphrase, and SubjectPublicKeyInfo.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from drkit.errors import ConfigError, ReportAltered
from drkit.logs import register_secret

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Key, SSlibKey


def generate() -> tuple[str, str]:
    """A new key: the private and the public half, as PEM."""
    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return register_secret(private.decode()), _pem(made.public_key())


def read_private(path: Path) -> Ed25519PrivateKey:
    """The private key in a file; raises ConfigError."""
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"cannot read the signing key {path}: {error.strerror}", hint=_HINT) from None
    except (TypeError, ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        if is_public(path) and parse_public(path.read_bytes()):
            raise ConfigError(
                f"{path} is the public half of a key, which signs nothing",
                hint="where drills run, signing_key in [drill] names the private half",
            )
        raise ConfigError(f"{path} is no ed25519 key in PEM without a passphrase", hint=_HINT)
    return found


def read_public(path: Path) -> str:
    """The public half of the key in a file, which may hold either half, as PEM; raises ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the key {path}: {error.strerror}", hint=_HINT) from None
    if b"PRIVATE KEY" in data:
        return public(read_private(path))
    found = parse_public(data)
    if found is None:
        raise ConfigError(f"{path} is no ed25519 key in PEM", hint=_HINT)
    return found


def parse_public(data: bytes) -> str | None:
    """A public key as this module writes it; None for anything else, wherever that comes from."""
    try:
        found = serialization.load_pem_public_key(data)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return None
    return _pem(found) if isinstance(found, Ed25519PublicKey) else None


def is_public(path: Path) -> bool:
    """Whether a file holds the public half alone, which everybody may read."""
    try:
        return b"PRIVATE KEY" not in path.read_bytes()
    except OSError:
        return False


def public(key: Ed25519PrivateKey) -> str:
    """The public half of a key, as PEM."""
    return _pem(key.public_key())


def key_id(pem: str) -> str:
    """What an envelope calls a public key: securesystemslib's own id, the hash of its public half."""
    return str(_library_key(pem).keyid)


def sign(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> bytes:
    """An envelope around the payload, as one line of JSON."""
    # Only where something is signed: it takes as long to load as everything else together.
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    envelope = Envelope(payload, payload_type, {})
    envelope.sign(CryptoSigner(key))
    return json.dumps(envelope.to_dict()).encode() + b"\n"


def open_envelope(data: bytes, payload_type: str, keys: Sequence[str]) -> tuple[bytes, str]:
    """The payload of an envelope that one of these public keys (PEM) has signed, and that key.

    Raises ReportAltered where it is no envelope, of another type, or signed by none of them.
    """
    from securesystemslib.exceptions import VerificationError

    envelope = _parse(data)
    if envelope.payload_type != payload_type:
        raise ReportAltered(f"it holds {envelope.payload_type[:80]!r}, no report", hint="it is another file")
    known: dict[str, Key] = {(key := _library_key(pem)).keyid: key for pem in keys}
    if not known.keys() & envelope.signatures.keys():
        names = ", ".join(sorted(name[:16] for name in envelope.signatures)) or "nobody"
        raise ReportAltered(
            f"it is signed by {names}, which is none of the keys at hand",
            hint="give the public key with --key; if it should be one of them, somebody else has signed it",
        )
    try:
        signers = envelope.verify(list(known.values()), 1)
    except (VerificationError, InvalidSignature, ValueError):
        raise ReportAltered(
            "it was altered: its signature does not fit", hint="fetch it again from the repository"
        ) from None
    signer = next(iter(signers))
    return envelope.payload, next(pem for pem in keys if key_id(pem) == signer)


def is_signed_by(data: bytes, keys: Sequence[str]) -> bool:
    """Whether an envelope says that one of these public keys (PEM) has signed it; it may lie.

    Raises ReportAltered where it is no envelope.
    """
    return not _parse(data).signatures.keys().isdisjoint(map(key_id, keys))


def payload(data: bytes) -> tuple[bytes, str]:
    """What an envelope of our own holds, and the id of a key that it says has signed it: neither is verified.

    Raises ReportAltered where it is no envelope.
    """
    envelope = _parse(data)
    return envelope.payload, next(iter(envelope.signatures), "")


def _parse(data: bytes) -> Envelope:
    from securesystemslib.dsse import Envelope

    try:
        envelope = Envelope.from_dict(json.loads(data))
        if not isinstance(envelope.payload_type, str):
            raise TypeError("a type is a text")
    # JSON may be nested as deep as its writer likes.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ReportAltered("it is no signed report", hint="it was cut short, or is another file") from None
    return envelope


_HINT = "make one with `drkit keys generate --signing`"


def _pem(key: Ed25519PublicKey) -> str:
    data = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return data.decode()


def _library_key(pem: str) -> SSlibKey:
    from securesystemslib.signer import SSlibKey

    return SSlibKey.from_crypto(serialization.load_pem_public_key(pem.encode()))
