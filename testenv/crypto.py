"""Harbor's two ways with secrets: reversible encryption with the secret key, and hashes of passwords."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

try:  # where cryptography 47 and later keep the mode that Harbor uses
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    from cryptography.hazmat.primitives.ciphers.modes import CFB

if TYPE_CHECKING:
    from random import Random

HEADER = "<enc-v1>"
_ROUNDS = {"sha1": ("sha1", 4_096), "sha256": ("sha256", 4_096), "pbkdf2_sha256": ("sha256", 600_000)}


def encrypt(plain: str, key: str, random: Random) -> str:
    """`<enc-v1>` and base64 of IV and ciphertext: AES-CFB128 with the 16 bytes of the secret key, no MAC."""
    iv = random.randbytes(16)
    encryptor = Cipher(AES(key.encode()), CFB(iv)).encryptor()
    return HEADER + base64.b64encode(iv + encryptor.update(plain.encode()) + encryptor.finalize()).decode()


def decrypt(value: str, key: str) -> bytes:
    """What `encrypt` took; with a wrong key noise, and no error."""
    raw = base64.b64decode(value.removeprefix(HEADER), validate=True)
    decryptor = Cipher(AES(key.encode()), CFB(raw[:16])).decryptor()
    return decryptor.update(raw[16:]) + decryptor.finalize()


def password_hash(password: str, salt: str, version: str = "sha256") -> str:
    """Hex of 16 bytes of PBKDF2-HMAC, as in harbor_user.password and robot.secret."""
    algorithm, rounds = _ROUNDS[version]
    return hashlib.pbkdf2_hmac(algorithm, password.encode(), salt.encode(), rounds, 16).hex()
