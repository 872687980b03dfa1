"""Processes that tests start, and whether they live."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from drkit.tools.process.command import Command, Completed


def sh(script: str, **options: str) -> Command:
    return Command(("sh", "-c", script), options)


def succeeded(done: Completed) -> None:
    assert done.code == 0, done.stderr


def alive(pid: int) -> bool:
    """Whether it runs; one that nobody has reaped yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def soon(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
