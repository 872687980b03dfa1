"""Keys that are cheap to derive from their passwords: of a restic repository, and of cosign.

Each command opens the one and each drill the other; to make that dear for whoever guesses is not for tests.
"""

from __future__ import annotations

import json
import os
import textwrap
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nacl.secret import SecretBox

from drkit.tools import cosign
from drkit.tools.restic import key_file
from testenv import Site, keys
from testenv import site as sites

# The least that scrypt takes.
_LEAST = {"N": 2, "r": 1, "p": 1}


def weaken(repository: Path, password: str) -> None:
    """Wrap the master key of a local repository, which has one key file, with the least work."""
    (old,) = (repository / "keys").iterdir()
    made = key_file.with_cost(old.read_text(), password.encode(), key_file.Cost(2, 1, 1))
    new = repository / "keys" / made.id
    new.write_bytes(made.text)
    was = old.stat()
    new.chmod(was.st_mode)
    os.chown(new, was.st_uid, was.st_gid)
    old.unlink()


def weaken_cosign(site: Site) -> Site:
    """Encrypt a site's cosign key anew, with the least work; cosign itself takes no such key."""
    file = site.cosign / "cosign.key"
    password = (site.cosign / "cosign.password").read_bytes()
    private = cosign.open_private_key(file.read_bytes(), password)
    salt, nonce = os.urandom(32), os.urandom(SecretBox.NONCE_SIZE)
    derived = Scrypt(salt, SecretBox.KEY_SIZE, _LEAST["N"], _LEAST["r"], _LEAST["p"]).derive(password)
    plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealed = SecretBox(derived).encrypt(plain, nonce).ciphertext
    document = {
        "kdf": {"name": "scrypt", "params": _LEAST, "salt": b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": b64encode(nonce).decode()},
        "ciphertext": b64encode(sealed).decode(),
    }
    lines = textwrap.wrap(b64encode(json.dumps(document).encode()).decode(), 64)
    mark = "ENCRYPTED SIGSTORE PRIVATE KEY-----"
    text = "\n".join([f"-----BEGIN {mark}", *lines, f"-----END {mark}", ""])
    file.write_text(text)
    others = {name: value for name, value in site.planted.items() if not name.startswith("cosign key")}
    weak = replace(site, planted=others | keys.private_lines("cosign key", text.encode()))
    sites.save(weak, complete=True)
    return weak
