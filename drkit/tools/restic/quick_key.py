"""A repository that opens at once: its key file is replaced by one that costs a tenth to open.

Every restic process opens a key file first, and restic makes them so that this takes half a second of a
processor: against whoever guesses passwords. A backup runs seven of them. For a password of 256 random bits
guessing is hopeless at any price, so the price may fall. Only for such a password.
"""

from __future__ import annotations

import json
from pathlib import Path

from drkit.errors import ToolFailed
from drkit.files import replace_file
from drkit.tools.restic import key_file, rest_server
from drkit.tools.restic.access import Access
from drkit.tools.restic.bucket import place
from drkit.tools.s3.bucket import Bucket

# restic's own, of a repository in a directory.
_MODE = 0o400


def make(access: Access) -> None:
    """Replace the key file of a repository that was just made; raises DrkitError, and it opens as before.

    The new one is proven to open the repository before the old one is removed. Of a repository that is
    reached by other ways than a directory, a bucket or a REST server the key file stays.
    """
    (old,) = access.check(access.command("list", "keys", "--no-lock")).text.split()
    text = access.check(access.command("cat", "key", old, "--no-lock")).text
    password = access.password_file.read_bytes().strip()
    try:
        new = key_file.with_cost(text, password, key_file.QUICK)
    except key_file.WrongKey as error:
        raise ToolFailed(f"its key file is not understood: {error}") from None
    if not _store(access, new):
        return
    hint = f"--key-hint={new.id}"
    keys = json.loads(access.check(access.command("key", "list", "--json", hint)).text)
    if not any(key["current"] and new.id.startswith(key["id"]) for key in keys):
        raise ToolFailed("restic does not open it with the new key file")
    access.check(access.command("key", "remove", old, hint))


def _store(access: Access, key: key_file.KeyFile) -> bool:
    """Store it where restic looks for keys; whether that could be done at all."""
    name = f"keys/{key.id}"
    if access.url.startswith("rest:"):
        answer = rest_server.request("POST", access.url, name, access.credentials, key.text)
        if not answer.is_success:
            raise ToolFailed(f"its server answers {answer.status_code} to a key file")
        return True
    if found := place(access.url, access.credentials):
        with Bucket(found.access) as bucket:
            bucket.put(f"{found.prefix}{name}", key.text)
        return True
    directory = Path(access.url.removeprefix("local:"))
    if not (directory / "keys").is_dir():
        return False
    try:
        replace_file(directory / name, key.text.decode(), mode=_MODE)
    except OSError as error:
        raise ToolFailed(f"{directory / name} cannot be written: {error.strerror}") from None
    return True
