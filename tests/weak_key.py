"""A restic repository whose key is cheap to derive: tests do not wait half a second for each command."""

from __future__ import annotations

from pathlib import Path

from drkit.tools.restic import key_file


def weaken(repository: Path, password: str) -> None:
    """Wrap the master key of a local repository, which has one key file, with the least work."""
    (old,) = (repository / "keys").iterdir()
    made = key_file.with_cost(old.read_text(), password.encode(), key_file.Cost(2, 1, 1))
    (repository / "keys" / made.id).write_bytes(made.text)
    old.unlink()
