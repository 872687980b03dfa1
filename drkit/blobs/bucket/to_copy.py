"""What a capture has to copy and what it has copied, on disk, for several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from drkit.blobs.bucket.plan import Missing
from drkit.blobs.inventory import Entry
from drkit.tools.scratch import scratch_database


class ToCopy:
    """The blobs that the vault lacks, in a file at `path`."""

    def __init__(self, path: Path) -> None:
        self._store = scratch_database(path, autocommit=True)
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Start empty: an earlier attempt of the same run may have left something."""
        self._store.execute("DROP TABLE IF EXISTS blob")
        self._store.execute(
            "CREATE TABLE blob (digest TEXT PRIMARY KEY, source TEXT, key TEXT, size INT, version TEXT,"
            " done INT DEFAULT 0, bad INT DEFAULT 0) WITHOUT ROWID"
        )

    def filtered(self, planned: Iterable[Entry | Missing]) -> Iterator[Entry]:
        """What is there already; what is missing is kept here."""
        insert = "INSERT INTO blob (digest, source, key, size) VALUES (?, ?, ?, ?)"
        # In one transaction: a million of them take seconds instead of minutes.
        self._store.execute("BEGIN")
        for each in planned:
            if isinstance(each, Missing):
                self._store.execute(insert, each)
            else:
                yield each
        self._store.execute("COMMIT")

    def to_do(self) -> Iterator[Entry]:
        """Everything to copy, by its keys in the source, sorted by digest, a page at a time."""
        query = "SELECT digest, source, size FROM blob WHERE digest > ? ORDER BY digest LIMIT 1000"
        last = ""
        while page := self._page(query, last):
            last = page[-1][0]
            yield from (Entry(*row) for row in page)

    def keep(self, digest: str, version: str | None) -> None:
        """This one has been copied."""
        with self._lock:
            self._store.execute("UPDATE blob SET done = 1, version = ? WHERE digest = ?", (version, digest))

    def spoil(self, digest: str) -> None:
        """The bytes of this one are wrong."""
        with self._lock:
            self._store.execute("UPDATE blob SET bad = 1 WHERE digest = ?", (digest,))

    def is_bad(self, digest: str) -> bool:
        """Whether the bytes of this one are wrong."""
        query = "SELECT 1 FROM blob WHERE digest = ? AND bad"
        return bool(self._store.execute(query, (digest,)).fetchone())

    def done(self) -> Iterator[Entry]:
        """What has been copied, sorted by digest."""
        yield from (entry for entry, _ in self.done_from())

    def done_from(self) -> Iterator[tuple[Entry, str]]:
        """The same, each with its key in the source."""
        query = (
            "SELECT digest, key, size, version, source FROM blob WHERE done AND digest > ?"
            " ORDER BY digest LIMIT 1000"
        )
        last = ""
        while page := self._page(query, last):
            last = page[-1][0]
            yield from ((Entry(*row), source) for *row, source in page)

    def _page(self, query: str, after: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._store.execute(query, (after,)).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._store.close()
