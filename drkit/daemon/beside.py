"""What a scheduler does beside its jobs: something again and again, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from drkit.errors import DrkitError, Interrupted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Periodic:
    """Something to be done again and again. `act` may take its time: neither jobs nor others wait for it,
    and it is not begun again before it has ended. What it raises is told, and ends nothing.
    """

    name: str
    every: timedelta
    act: Callable[[], None]


Failed = Callable[[str, Exception], None]


def log_failure(name: str, error: Exception) -> None:
    """Log what kept something from being done."""
    log.warning("%s: %s", name, error.message if isinstance(error, DrkitError) else repr(error))


@dataclass
class _Turn:
    periodic: Periodic
    failed: Failed
    # The first comes at once.
    next: float = 0.0
    thread: threading.Thread | None = None
    complained: bool = False

    def tick(self, now: float) -> None:
        """Begin it where it is due, by the monotonic clock."""
        running = self.thread is not None and self.thread.is_alive()
        if now < self.next:
            return
        seconds = self.periodic.every.total_seconds()
        if running:
            if not self.complained:
                log.warning(
                    "%s has not ended within %d s: not begun again before", self.periodic.name, seconds
                )
            self.complained = True
            return
        self.next, self.complained = now + seconds, False
        self.thread = threading.Thread(target=self._act, name=self.periodic.name, daemon=True)
        self.thread.start()

    def _act(self) -> None:
        try:
            self.periodic.act()
        except Interrupted:
            pass
        except Exception as error:  # noqa: BLE001 - told, and the jobs go on
            self.failed(self.periodic.name, error)


@dataclass
class Beside:
    """All that is done periodically; `failed` gets what one of them raises."""

    failed: Failed = log_failure
    _turns: list[_Turn] = field(default_factory=list)

    def take(self, periodics: Iterable[Periodic]) -> None:
        """Do these from now on, instead of others."""
        self._turns = [_Turn(each, self.failed) for each in periodics]

    def tick(self) -> None:
        """Begin what is due."""
        now = time.monotonic()
        for turn in self._turns:
            turn.tick(now)

    def end(self, seconds: float) -> None:
        """Begin nothing any more, and wait so long for what has not ended."""
        turns, self._turns = self._turns, []
        end = time.monotonic() + seconds
        for turn in turns:
            if turn.thread is not None:
                turn.thread.join(max(0.0, end - time.monotonic()))
