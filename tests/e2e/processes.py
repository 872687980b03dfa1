"""Processes as /proc shows them: who descends from whom, and who belongs to a directory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# From <linux/prctl.h>.
_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Process:
    """What can be known of a process from outside."""

    pid: int
    parent: int
    arguments: bytes
    environment: bytes

    @property
    def words(self) -> list[str]:
        """Its arguments."""
        return os.fsdecode(self.arguments).rstrip("\0").split("\0")

    @property
    def program(self) -> str:
        """The bare name of what it runs."""
        return Path(self.words[0]).name


def everybody() -> Iterator[Process]:
    """Every living process that we may look at; a zombie has neither arguments nor environment."""
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    yield _look(int(entry.name))


def _look(pid: int) -> Process:
    where = Path(f"/proc/{pid}")
    status = (where / "stat").read_text(errors="replace")
    parent = int(status.rpartition(")")[2].split()[1])
    arguments = (where / "cmdline").read_bytes()
    while True:
        environment = (where / "environ").read_bytes()
        # One that becomes another program meanwhile would have the words of the one, and this of the other.
        if (now := (where / "cmdline").read_bytes()) == arguments:
            return Process(pid, parent, arguments, environment)
        arguments = now


def catches(pid: int, sign: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    (caught,) = (line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (sign - 1) & 1)


def family(pid: int) -> list[Process]:
    """A process and all that descend from it; who has no parent any more is not among them."""
    numbers, found = [pid], []
    for number in numbers:  # grows while it is walked
        with contextlib.suppress(OSError, ValueError, IndexError):
            found.append(_look(number))
        # A child belongs to the thread that started it; the process may end while they are listed.
        with contextlib.suppress(OSError):
            for children in list(Path(f"/proc/{number}/task").glob("*/children")):
                with contextlib.suppress(OSError):
                    numbers += map(int, children.read_text().split())
    return found


def belonging_to(directory: Path) -> list[Process]:
    """The processes that name a directory in their arguments or environment, or that work inside it."""
    mark = os.fsencode(directory) + b"/"
    return [
        process
        for process in everybody()
        if process.pid != os.getpid()
        and (
            mark in process.arguments or mark in process.environment or _works_inside(process.pid, directory)
        )
    ]


def _works_inside(pid: int, directory: Path) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(directory)
    return False


def survivors(directory: Path, seconds: float = 60.0) -> list[Process]:
    """Who is still there after a moment: a killed server's children need one to notice."""
    deadline = time.monotonic() + seconds
    while found := belonging_to(directory):
        if time.monotonic() > deadline:
            return found
        time.sleep(0.02)
    return []


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent was killed, instead of init, which may be slow."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury(program: str = "restic") -> None:
    """Take note of the deaths of adopted processes: to restic a zombie lives, and its lock with it."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ChildProcessError):
            if f"({program}) Z {os.getpid()} " in stat.read_text(errors="replace"):
                os.waitpid(int(stat.parent.name), 0)


def shared_memory() -> set[int]:
    """The ids of all System V shared memory segments."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {int(line.split()[1]) for line in lines}
