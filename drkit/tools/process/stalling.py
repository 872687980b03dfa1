"""Whether a child still moves: one that has stopped for too long is told of, and at last ended.

What counts is what it does: bytes that it and its own children read and write (files, pipes and sockets), and
processor time. Not what it says: restic repeats its figures twice a second, whether they change or not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from drkit.tools.process import children, stopping
from drkit.tools.process.children import Child
from drkit.tools.process.command import Command, Owner

log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_TELL_SECONDS = 60.0
# Less than this, summed up since it last moved, is idling: keep-alives, attempts to connect, a status line.
_IDLE_BYTES = 64 << 10
_IDLE_SECONDS = 2.0
_IDLE_SHARE = 0.01
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Signs:
    """What a child and its own children have done so far."""

    processes: frozenset[int]
    bytes: int
    seconds: float

    def differ(self, before: Signs, elapsed: float) -> bool:
        """Whether that is more than idling for `elapsed` seconds."""
        return (
            self.processes != before.processes
            or self.bytes - before.bytes > _IDLE_BYTES
            or self.seconds - before.seconds > _IDLE_SECONDS + _IDLE_SHARE * elapsed
        )


def signs(session: int) -> Signs:
    """The signs of life of all processes of a session."""
    processes, moved, ticks = set(), 0, 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        # It may end while it is looked at.
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold spaces.
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) != session or fields[0] == "Z":
                continue
            processes.add(int(entry.name))
            ticks += int(fields[11]) + int(fields[12])
            moved += _moved(entry / "io")
    return Signs(frozenset(processes), moved, ticks / _TICKS)


def _moved(path: Path) -> int:
    """Bytes read and written, by the kernel's account of a process; 0 where we may not know."""
    try:
        lines = dict(line.split(": ") for line in path.read_text(encoding="ascii").splitlines())
    except OSError:
        return 0
    return int(lines["rchar"]) + int(lines["wchar"])


class StallWatch:
    """Looks at one child now and then until `over`; without a limit only its owner is told that it lives.

    `heard` is how much we had from it: its words are no sign of life. While it is `ours` to go on (it waits
    for us to take its output, or to give it input) it is not blamed for waiting.
    """

    def __init__(
        self, command: Command, child: Child, owner: Owner | None, last_words: Callable[[], str]
    ) -> None:
        self.heard = 0
        self.ours = False
        self.feeding = False
        self.stalled: timedelta | None = None
        self._command = command
        self._child = child
        self._owner = owner
        self._last_words = last_words
        self._over = threading.Event()
        if command.stall_limit or owner:
            threading.Thread(target=self._run, daemon=True).start()

    def over(self) -> None:
        """It has ended."""
        self._over.set()

    def _run(self) -> None:
        limit = self._command.stall_limit.total_seconds() if self._command.stall_limit else None
        tell = _TELL_SECONDS if limit is None else min(_TELL_SECONDS, limit / 2)
        pause = _LOOK_SECONDS if limit is None else min(_LOOK_SECONDS, limit / 4)
        # Most have ended before it is time to look.
        before, since = Signs(frozenset(), 0, 0.0), time.monotonic()
        while not self._over.wait(pause):
            if self._owner:
                self._owner.lives()
            if limit is None:
                continue
            now, found = time.monotonic(), self._look()
            if self.ours or self.feeding or found.differ(before, now - since):
                before, since = found, now
                tell = min(_TELL_SECONDS, limit / 2)
            elif now - since >= limit:
                self._end(now - since)
                return
            elif now - since >= tell:
                self._tell(now - since, limit)
                tell *= 4

    def _look(self) -> Signs:
        found = signs(self._child.pid)
        return Signs(found.processes, found.bytes - self.heard, found.seconds)

    def _tell(self, seconds: float, limit: float) -> None:
        words = self._last_words()
        log.warning(
            "%s has made no progress for %.0f seconds; after %.0f it is ended%s",
            self._command.what,
            seconds,
            limit,
            f"; its last words: {words}" if words else "",
        )

    def _end(self, seconds: float) -> None:
        self.stalled = timedelta(seconds=round(seconds))
        children.signal_group(self._child, signal.SIGTERM)
        children.wait(self._child, stopping.GRACE_SECONDS)
        children.signal_group(self._child, signal.SIGKILL)
