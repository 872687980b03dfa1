"""What the command line says of a restore."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

What = Literal["database", "blobs", "secrets"]


@dataclass(frozen=True)
class RestoreOptions:
    """Of `drkit restore` without --image."""

    point: str
    only: What | None = None
    root: Path | None = None
    database_dsn: str | None = None
    replace: bool = False
    identity: Path | None = None
    database_password_file: Path | None = None
    repository: str | None = None
    # Nothing is here but the repository: the configuration is restored as well.
    bare: bool = False
    # The name that a restored harbor.yml says, instead of its own.
    hostname: str = ""
    # The address of a scheduler whose workers bring the blobs, instead of what [cluster] says.
    cluster: str | None = None
