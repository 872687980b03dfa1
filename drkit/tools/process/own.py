"""The name of a process that no other process of any machine shares, and whether its owner is dead for sure.

A host name, a state directory and a process number are all copied with a machine. The kernel's boot id is
not, and within one boot and one namespace of process numbers the kernel says whether a process still runs.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = "/proc/self/ns/pid"
_STARTED = 19  # the place of "starttime" among the fields behind the name in /proc/PID/stat


@dataclass(frozen=True)
class ProcessName:
    """A process: its host, the boot and namespace that its number holds in, and when it began (in ticks)."""

    host: str
    boot: str
    pid: int
    started: int

    @property
    def dead(self) -> bool:
        """Whether it certainly runs no more; of another boot or container nobody here can tell."""
        mine = own()
        if (self.host, self.boot) != (mine.host, mine.boot) or not self.boot:
            return False
        return started_at(self.pid) != self.started


@cache
def _boot() -> str:
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()} {os.readlink(_NAMESPACE)}"  # noqa: PTH115
    except OSError:
        return ""


def own() -> ProcessName:
    """This process."""
    return ProcessName(platform.node(), _boot(), os.getpid(), started_at(os.getpid()) or 0)


def started_at(pid: int) -> int | None:
    """When a process began, None where there is none of that number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name of the program may have spaces and brackets in it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[_STARTED])
