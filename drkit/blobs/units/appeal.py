"""What one worker says is wrong is looked at by this machine as well.

On that word alone a blob would be left out of a recovery point, or a sound point called damaged.
"""

from __future__ import annotations

from collections import Counter

from drkit.blobs.inventory import Entry
from drkit.blobs.units.unit import Outcome, Wrong
from drkit.blobs.units.work import Work
from drkit.tools.process import stopping

# When so many were wrong here too, others are believed to be: all of a vault may be.
_MOST = 20


class Appeal:
    """The work on blobs that workers found wrong, done once more."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._confirmed = 0
        self._mistaken = Counter[str]()

    def outcome(self, entry: Entry, said: Outcome, by: str | None) -> Outcome:
        """What came of a blob, of which a worker (None: this machine) has said this. Raises ToolFailed."""
        if by is None or not isinstance(said, Wrong) or self._confirmed >= _MOST:
            return said
        found = self._work.do(entry, stopping.stop_if_asked, lambda _count: None)
        if isinstance(found, Wrong):
            self._confirmed += 1
        else:
            self._mistaken[by] += 1
        return found

    @property
    def sentences(self) -> tuple[str, ...]:
        """A sentence for each worker that was mistaken."""
        return tuple(
            f"the worker {by} called {count} blobs wrong that this machine finds right: see to its memory and"
            " its network"
            for by, count in self._mistaken.items()
        )
