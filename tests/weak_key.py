"""Make a restic repository's key cheap to derive, so that tests do not wait half a second for each command.

restic itself made the repository and opens it; only the cost of scrypt changes. The format is that of
restic's design document, "Keys, Encryption and MAC": AES-256-CTR and Poly1305-AES.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.poly1305 import Poly1305


def weaken(repository: Path, password: str) -> None:
    """Wrap the master key of a local repository, which has one key file, with the least work."""
    (old,) = (repository / "keys").iterdir()
    document: dict[str, Any] = json.loads(old.read_text())
    sealed = base64.b64decode(document["data"])
    nonce, text, tag = sealed[:16], sealed[16:-16], sealed[-16:]
    key = _derive(document, password)
    assert _tag(key, nonce, text) == tag
    master = _crypt(key, nonce, text)
    document.update(N=2, r=1, p=1)
    key, nonce = _derive(document, password), os.urandom(16)
    text = _crypt(key, nonce, master)
    document["data"] = base64.b64encode(nonce + text + _tag(key, nonce, text)).decode()
    new = json.dumps(document).encode()
    (repository / "keys" / hashlib.sha256(new).hexdigest()).write_bytes(new)
    old.unlink()


def _derive(document: dict[str, Any], password: str) -> bytes:
    """32 bytes to encrypt with, then 16 + 16 for the MAC."""
    salt = base64.b64decode(document["salt"])
    return Scrypt(salt=salt, length=64, n=document["N"], r=document["r"], p=document["p"]).derive(
        password.encode()
    )


def _crypt(key: bytes, nonce: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key[:32]), modes.CTR(nonce)).encryptor().update(data)


def _tag(key: bytes, nonce: bytes, text: bytes) -> bytes:
    # One block of AES is what Poly1305-AES is made of; no mode is at work here.
    pad = Cipher(algorithms.AES(key[32:48]), modes.ECB()).encryptor().update(nonce)
    return Poly1305.generate_tag(key[48:] + pad, text)
