"""What a restored registry needs besides database and images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Needed:
    """A file or directory that a restored registry needs, and what it is for; it may not be there."""

    path: Path
    purpose: str
