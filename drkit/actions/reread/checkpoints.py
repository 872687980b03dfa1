"""Storing what was read from time to time: a run that is killed loses no more than its last stretch."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from drkit.actions.reread import recording
from drkit.points.ledger.keeping import Book

# So much reading may be lost at most, but for a share that somebody has named: that is read in one go.
STRETCH = timedelta(minutes=30)


class Checkpoints:
    """The moments at which a ledger is stored; `clock` is a monotonic clock in seconds."""

    def __init__(
        self, book: Book, every: timedelta = STRETCH, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.every = every
        self._book, self._clock = book, clock
        self._last = clock()

    def look(self) -> None:
        """Store it if it is time; one that cannot be stored is logged, and the next one has what it lacks."""
        if self._clock() - self._last >= self.every.total_seconds():
            recording.write(self._book, None)
            self._last = self._clock()
