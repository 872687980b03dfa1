"""A restic key file: the repository's master key, encrypted with what scrypt derives from a password.

The format is that of restic's design document, "Keys, Encryption and MAC": AES-256 in counter mode, and
Poly1305-AES over the ciphertext.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.poly1305 import Poly1305

_SALT_BYTES, _BLOCK, _TAG_BYTES = 64, 16, 16


class Cost(NamedTuple):
    """The parameters of scrypt (RFC 7914): its time and its memory grow with each."""

    n: int
    r: int
    p: int


# The least that the library takes which restic uses, 40 ms of a processor; restic itself looks for what takes
# 500 ms. That makes guessing a password a tenfold dearer, which one of 256 random bits has no need of.
QUICK = Cost(1 << 14, 8, 1)


class WrongKey(Exception):
    """A key file that the password does not open, or that is none."""


class KeyFile(NamedTuple):
    """The text of a key file, and its name in the repository: the SHA-256 of the text."""

    id: str
    text: bytes


def cost_of(text: str) -> Cost:
    """What it costs to open a key file; raises WrongKey."""
    return _cost(_parsed(text))


def with_cost(text: str, password: bytes, cost: Cost) -> KeyFile:
    """The same master key for the same password in a key file of its own; raises WrongKey."""
    key = _parsed(text)
    master = _decrypt(key, password)
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_BLOCK)
    derived = _derive(password, salt, cost)
    ciphertext = _counter(derived, nonce, master)
    data = nonce + ciphertext + _tag(derived, nonce, ciphertext)
    fields = {"N": cost.n, "r": cost.r, "p": cost.p, "salt": _text(salt), "data": _text(data)}
    made = json.dumps({**key, **fields}).encode()
    return KeyFile(hashlib.sha256(made).hexdigest(), made)


class _Derived(NamedTuple):
    encrypt: bytes
    mac_key: bytes
    mac_r: bytes


def _parsed(text: str) -> dict[str, Any]:
    try:
        key = json.loads(text)
        _cost(key)
    except (ValueError, KeyError, TypeError):
        raise WrongKey("not a restic key file") from None
    if key.get("kdf") != "scrypt":
        raise WrongKey(f"its key is derived by {key.get('kdf')!r}, not by scrypt")
    return dict(key)


def _cost(key: dict[str, Any]) -> Cost:
    return Cost(int(key["N"]), int(key["r"]), int(key["p"]))


def _decrypt(key: dict[str, Any], password: bytes) -> bytes:
    try:
        data = b64decode(key["data"])
        nonce, ciphertext, tag = data[:_BLOCK], data[_BLOCK:-_TAG_BYTES], data[-_TAG_BYTES:]
        derived = _derive(password, b64decode(key["salt"]), _cost(key))
    except (ValueError, KeyError, TypeError):
        raise WrongKey("not a restic key file") from None
    if len(tag) < _TAG_BYTES or len(nonce) < _BLOCK:
        raise WrongKey("its key is cut off")
    if not hmac.compare_digest(_tag(derived, nonce, ciphertext), tag):
        raise WrongKey("the password does not open it")
    return _counter(derived, nonce, ciphertext)


def _derive(password: bytes, salt: bytes, cost: Cost) -> _Derived:
    made = Scrypt(salt, 64, cost.n, cost.r, cost.p).derive(password)
    return _Derived(made[:32], made[32:48], made[48:])


def _counter(key: _Derived, nonce: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key.encrypt), modes.CTR(nonce)).encryptor().update(data)


def _tag(key: _Derived, nonce: bytes, ciphertext: bytes) -> bytes:
    """Poly1305-AES: its one-time half is the nonce, encrypted; `cryptography` masks the other as is due."""
    once = Cipher(algorithms.AES(key.mac_key), modes.ECB()).encryptor().update(nonce)  # noqa: S305
    return Poly1305.generate_tag(key.mac_r + once, ciphertext)


def _text(data: bytes) -> str:
    return b64encode(data).decode()
