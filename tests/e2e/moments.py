"""Moments in the life of a run, recognised from outside: what it has made so far.

One that passes can be missed: then the run is to wait at a gate behind it, see gates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.commands import Drkit

# Says whether a moment has come, for the run that was started after the moment was made.
Moment = Callable[[], object]


def after(seconds: float) -> Moment:
    """So much time has passed."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def site_locked(drkit: Drkit) -> Moment:
    """The run holds the site."""
    return (drkit.state / "locks/site.json").exists


def in_sandbox(drkit: Drkit, pattern: str) -> Moment:
    """A file of that name is in a sandbox."""
    return lambda: found(drkit.sandboxes, f"*/{pattern}")


def server_accepts(drkit: Drkit) -> Moment:
    """The sandbox's PostgreSQL is ready, and holds its shared memory."""

    def ready() -> bool:
        files = found(drkit.sandboxes, "*/*/pg/data/postmaster.pid")
        return any("ready" in read_if_there(file) for file in files)

    return ready


def found(directory: Path, pattern: str) -> list[Path]:
    """What is there of that name, while a run makes and removes directories under our eyes."""
    try:
        return list(directory.glob(pattern))
    except FileNotFoundError:
        return []


def read_if_there(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
