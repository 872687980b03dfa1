"""SSH private keys in OpenSSH's format, by cryptography (which takes the key derivation from bcrypt)."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

MARK = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def is_encrypted(data: bytes) -> bool:
    """Whether an SSH private key needs a passphrase."""
    try:
        load_ssh_private_key(data, None)
    except TypeError:
        # What cryptography raises for a key that is encrypted, and for nothing else.
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False


def without_passphrase(data: bytes, passphrase: str) -> bytes:
    """The same key without encryption, in memory; raises ValueError, for a wrong passphrase too."""
    try:
        key = load_ssh_private_key(data, passphrase.encode())
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
