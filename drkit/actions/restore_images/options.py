"""What the command line says of a restore of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ImageOptions:
    """Of `drkit restore --image`."""

    point: str
    pattern: str
    to: str | None = None
    rename: tuple[str, ...] = ()
    replace: bool = False
    credentials: Path | None = None
    ca_file: Path | None = None
    repository: str | None = None
