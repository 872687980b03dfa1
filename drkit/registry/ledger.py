"""Which blobs were read whole, and were right."""

from __future__ import annotations

import threading
from pathlib import Path

from drkit.tools.scratch import scratch_database


class Ledger:
    """Which blobs were read whole and hash to their names; on disk, so that memory stays flat."""

    def __init__(self, path: Path) -> None:
        self._store = scratch_database(path, autocommit=True)
        self._store.execute("CREATE TABLE blob (digest TEXT PRIMARY KEY, good INT) WITHOUT ROWID")
        self._lock = threading.Lock()

    def claim(self, digest: str) -> bool:
        """Whether the caller is the first to ask for this one, and so is to read it."""
        with self._lock:
            return self._store.execute("INSERT OR IGNORE INTO blob VALUES (?, 0)", (digest,)).rowcount == 1

    def confirm(self, digest: str) -> None:
        """The blob was read, and is good."""
        with self._lock:
            self._store.execute("INSERT OR REPLACE INTO blob VALUES (?, 1)", (digest,))

    def good(self, digest: str) -> bool:
        """Whether it was confirmed."""
        with self._lock:
            return bool(
                self._store.execute("SELECT 1 FROM blob WHERE digest = ? AND good", (digest,)).fetchone()
            )

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()
