"""Processes that bear a sandbox's name in their environment: what belongs to a drill, whoever started it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import ToolFailed

LABEL = "DRKIT_DRILL"
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1
_PROC = Path("/proc")


def environment(sandbox: Path) -> dict[str, str]:
    """The variable that a process of this sandbox has, and hands on to its children."""
    return {LABEL: sandbox.name}


def release(sandbox: Path) -> None:
    """End what bears a sandbox's name, and see that it is gone; raises ToolFailed."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while left := tuple(_labelled(sandbox.name)):
        if time.monotonic() > end:
            numbers = ", ".join(map(str, left))
            raise ToolFailed(f"processes of the drill {sandbox.name} are still there: {numbers}")
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_SECONDS)


def _labelled(name: str) -> Iterator[int]:
    """Those that have the name in their environment, as far as we may look."""
    wanted = f"{LABEL}={name}".encode()
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
