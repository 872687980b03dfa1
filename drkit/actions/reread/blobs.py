"""Blobs of a vault: which of them are read, by a share or the longest unread first."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from drkit.actions.reread.budget import Budget, Limits
from drkit.blobs.inventory import Entry
from drkit.points.ledger.joining import Round
from drkit.tools.scratch import scratch_database

_MANY = 2_000
_PLACES = 1 << 32
_TABLE = """
CREATE TABLE entry (
    turn INT, place INT, number INT, digest TEXT, key TEXT, size INT, version TEXT, locked_until TEXT,
    PRIMARY KEY (turn, place, number)
) WITHOUT ROWID
"""


class NoBlobs:
    """None is read."""

    def wants(self, entry: Entry) -> bool:  # noqa: ARG002 - as Reading
        """No."""
        return False

    def later(self) -> Iterable[Entry]:
        """Nothing."""
        return ()

    def judged(self, entry: Entry, *, right: bool) -> None:
        """What was found wrong before is read all the same; without a ledger nobody keeps that."""


class ShareOfBlobs:
    """A share of the blobs, each read as soon as it is seen.

    `checkpoint` is called where what was read so far can be stored.
    """

    def __init__(
        self, ledger: Round, chosen: Callable[[str], bool], checkpoint: Callable[[], object] = lambda: None
    ) -> None:
        self._ledger, self._chosen, self._checkpoint = ledger, chosen, checkpoint

    def wants(self, entry: Entry) -> bool:
        """Whether to read it now; asked of each blob once, sorted by digest."""
        self._ledger.listed(entry.digest, entry.size)
        self._checkpoint()
        return self._chosen(entry.digest)

    def later(self) -> Iterable[Entry]:
        """What is to be read when all were seen."""
        self._ledger.all_listed()
        return ()

    def judged(self, entry: Entry, *, right: bool) -> None:
        """It was read, or is not there; by several threads."""
        (self._ledger.spool.right if right else self._ledger.spool.wrong)(entry.digest, entry.size)


class LongestUnread:
    """The blobs that were not read for longest, within limits; all of them stand in a file until then.

    `checkpoint` as in ShareOfBlobs.

    Of those whose turn it is at the same time, hosts that read at the same time begin at different places.
    """

    def __init__(
        self, ledger: Round, limits: Limits, path: Path, checkpoint: Callable[[], object] = lambda: None
    ) -> None:
        self._ledger, self._limits, self._path = ledger, limits, path
        self._checkpoint = checkpoint
        self._store = scratch_database(path)
        self._store.execute(_TABLE)
        self._rows: list[tuple[int, int, int, str, str, int, str | None, str | None]] = []
        self._start = secrets.randbelow(_PLACES)
        self._seen = 0

    def wants(self, entry: Entry) -> bool:
        """Nothing is read before all were seen."""
        turn = self._ledger.listed(entry.digest, entry.size)
        until = entry.locked_until.isoformat() if entry.locked_until else None
        self._seen += 1
        place = (int(entry.digest[-64:-56], 16) - self._start) % _PLACES
        self._rows.append(
            (turn, place, self._seen, entry.digest, entry.key, entry.size, entry.version, until)
        )
        if len(self._rows) >= _MANY:
            self._flush()
        return False

    def later(self) -> Iterator[Entry]:
        """In the order of their turns, until the budget is used up; at least one."""
        self._ledger.all_listed()
        self._flush()
        budget = Budget(self._limits)
        query = "SELECT digest, key, size, version, locked_until FROM entry ORDER BY turn, place, number"
        with contextlib.closing(self._store):
            for digest, key, size, version, until in self._store.execute(query):
                lock = datetime.fromisoformat(until) if until else None
                yield Entry(digest, key, size, version, lock)
                self._checkpoint()
                budget.take(size)
                if budget.used_up:
                    break
        self._path.unlink(missing_ok=True)

    def judged(self, entry: Entry, *, right: bool) -> None:
        """As ShareOfBlobs."""
        (self._ledger.spool.right if right else self._ledger.spool.wrong)(entry.digest, entry.size)

    def _flush(self) -> None:
        self._store.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._rows.clear()
