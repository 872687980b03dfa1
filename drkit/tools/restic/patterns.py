"""Patterns by which restic leaves files out (restic.readthedocs.io, "Excluding Files")."""

from __future__ import annotations

import re
from pathlib import Path

_MAGIC = re.compile(r"[\\*?\[]")


def literal(path: Path) -> str:
    """A pattern that matches this path and no other: what is in it may look like a pattern."""
    return _MAGIC.sub(r"\\\g<0>", str(path))
