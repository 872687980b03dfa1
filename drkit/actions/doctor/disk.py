"""Whether there is room on a disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from drkit.actions import room
from drkit.actions.doctor.finding import Finding
from drkit.errors import ToolFailed

_ROOM = 1 << 30


def look(name: str, path: Path) -> Finding:
    """How much is free there; raises ToolFailed where that is too little for a backup."""
    free = shutil.disk_usage(path).free
    said = f"{path}, {free / (1 << 30):,.1f} GiB free"
    if room.is_full(path):
        raise ToolFailed(f"{said}: no backup begins here", hint=room.HINT)
    if free < _ROOM:
        return Finding(name, "warning", said, "less than 1 GiB: make room before it fills up")
    return Finding(name, "ok", said)
