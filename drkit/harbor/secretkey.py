"""Harbor's secret key and the columns that it encrypts.

The format is `<enc-v1>` + base64(IV[16] || ciphertext), AES-128-CFB with a 128-bit segment, without any
authentication (harbor/src/common/utils/encrypt.go): a wrong key gives noise, not an error. So a plain text
is judged by its shape.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
    from cryptography.hazmat.primitives.ciphers import Cipher

PREFIX = "<enc-v1>"
# Where it stands below the data volume.
PLACE = "secret/keys/secretkey"
KEY_BYTES = 16


def decrypt(value: str, key: bytes) -> bytes:
    """The plain text, or noise, of one encrypted value; raises ValueError if it is not of the format."""
    if not value.startswith(PREFIX):
        raise ValueError("the value is not encrypted")
    try:
        raw = base64.b64decode(value.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the value is not base64: {error}") from None
    if len(raw) < KEY_BYTES:
        raise ValueError("the value is shorter than its initialisation vector")
    decryptor = _cipher(key, raw[:16]).decryptor()
    return decryptor.update(raw[16:]) + decryptor.finalize()


def encrypt(plain: str, key: bytes) -> str:
    """A value as Harbor would store it; raises ValueError for a key of another length than AES takes."""
    start = os.urandom(16)
    encryptor = _cipher(key, start).encryptor()
    raw = start + encryptor.update(plain.encode()) + encryptor.finalize()
    return PREFIX + base64.b64encode(raw).decode()


def _cipher(key: bytes, start: bytes) -> Cipher[CFB]:
    # Here, for whoever asks where the key stands needs no cryptography.
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    return Cipher(algorithms.AES(key), CFB(start))


def well_shaped(plain: bytes, *, json_expected: bool) -> bool:
    """Whether this is what the right key would give: UTF-8 without control characters, or JSON."""
    try:
        text = plain.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if json_expected:
        try:
            json.loads(text)
        except ValueError:
            return False
        return True
    return all(char.isprintable() or char in "\r\n\t" for char in text)


# Measured: random bytes are printable UTF-8 with a probability of 2^-1.39 for one byte, falling to 2^-1.15 a
# byte for eight. For JSON it is far less; the same bound holds.
_BITS_PER_BYTE = 1.1


def proof_bits(plain: bytes) -> float:
    """How unlikely it is that a wrong key gives so long a plain text its shape: 2 to the minus this."""
    return _BITS_PER_BYTE * len(plain)
