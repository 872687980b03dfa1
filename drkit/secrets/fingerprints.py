"""Whether a secret is still the same, told without telling the secret.

A plain hash of a secret in a manifest would let whoever reads the repository confirm a guess, or, of a
short one such as Harbor's sixteen letters, of a password, search for it. So each file is hashed with a key
(HMAC-SHA256). The key stands in the state directory, for the next backup to compare with, and inside the
age-encrypted bundle, for a drill on any machine to hold the bundle against its manifest; it is never in the
manifest, where only its own fingerprint stands, which says whether two manifests can be compared at all.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass

from drkit.errors import ConfigError
from drkit.files import write_once
from drkit.logs import register_secret
from drkit.state.directory import State

FILE_NAME = "fingerprint.key"
_BYTES = 32


@dataclass(frozen=True)
class FingerprintKey:
    """The key, of 32 bytes."""

    secret: bytes

    @property
    def id(self) -> str:
        """A name for the key that does not give it away."""
        return self._hash("id", b"")[:16]

    def of(self, path: str, data: bytes) -> str:
        """The fingerprint of a file; the same content at another path has another one."""
        return self._hash("file", len(path).to_bytes(8) + os.fsencode(path) + data)

    def _hash(self, purpose: str, data: bytes) -> str:
        return hmac.new(self.secret, purpose.encode() + b"\0" + data, hashlib.sha256).hexdigest()


def load(state: State) -> FingerprintKey:
    """The key of this state directory, made where there is none; raises ConfigError."""
    path = state.root / FILE_NAME
    try:
        if not path.exists():
            for dead in path.parent.glob(f".{path.name}.*.tmp"):
                dead.unlink(missing_ok=True)  # of a run that was killed here; the site is ours alone now
            write_once(path, secrets.token_hex(_BYTES))
        text = path.read_text(encoding="ascii").strip()
        secret = bytes.fromhex(text)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot use {path}: {error}", hint="remove it: a new one is made by the next backup"
        ) from None
    if len(secret) != _BYTES:
        raise ConfigError(f"{path} holds no key", hint="remove it: a new one is made by the next backup")
    register_secret(text)
    return FingerprintKey(secret)
