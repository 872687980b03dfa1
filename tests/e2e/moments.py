"""Moments in the life of a run, recognised from outside: what it has made so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e import processes
from tests.e2e.commands import Drkit

# Says whether a moment has come, for the run that was started after the moment was made.
Moment = Callable[[], object]


def snapshots(drkit: Drkit, count: int) -> Moment:
    """That many more snapshots are in the repository than now."""

    def stored() -> int:
        names = (path.name for path in (drkit.repository / "snapshots").iterdir())
        return sum("-tmp-" not in name for name in names)

    before = stored()
    return lambda: stored() >= before + count


def site_locked(drkit: Drkit) -> Moment:
    """The run holds the site."""
    return (drkit.state / "locks/site.json").exists


def login_written(drkit: Drkit) -> Moment:
    """The databases are held still, and the file to log in with is there."""
    return lambda: found(drkit.state / "runs", "*/**/pgpass-*")


def program_runs(drkit: Drkit, program: str, *words: str) -> Moment:
    """A program of that name runs for this drkit, with those words among its arguments."""

    def look() -> bool:
        # Going through all processes is work, which should not slow down what is looked at.
        time.sleep(0.01)
        alike = (p for p in processes.belonging_to(drkit.home) if p.program == program)
        return any(set(words) <= set(process.words) for process in alike)

    return look


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
