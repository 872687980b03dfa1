"""A restic repository whose key is cheap to derive: a test runs a hundred commands on it."""

from __future__ import annotations

import os
from pathlib import Path

from drkit.tools.restic import key_file


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
