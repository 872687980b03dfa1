"""Databases that a run throws away: for what may not fit into memory."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

_PRIMARY = 0xFF
_ERRNO = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO}
_TORN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def scratch_database(path: Path, *, autocommit: bool = False) -> sqlite3.Connection:
    """Open one, for any thread. Nothing in it is safe from a crash, and no transaction can be rolled back.

    What the disk refuses to it is an OSError with its path, as for any other file.
    """
    store = open_database(path, any_thread=True, autocommit=autocommit)
    store.execute("PRAGMA journal_mode = OFF")
    store.execute("PRAGMA synchronous = OFF")
    return store


def open_database(path: Path, *, any_thread: bool = False, autocommit: bool = False) -> sqlite3.Connection:
    """Open one with SQLite's own settings; what the disk refuses is an OSError here too."""
    level: Literal["DEFERRED"] | None = None if autocommit else "DEFERRED"
    store = sqlite3.connect(path, check_same_thread=not any_thread, isolation_level=level, factory=_Store)
    store.path = path
    return store


class _Store(sqlite3.Connection):
    """A connection whose errors of the disk are OSErrors; a query that sorts takes its room at once.

    Where the disk has refused something, what no journal could undo is there by half: whatever SQLite finds
    wrong afterwards is that refusal.
    """

    path: Path
    _refused: OSError | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise self._meant(error) from error

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        try:
            return super().executemany(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise self._meant(error) from error

    def commit(self) -> None:
        try:
            super().commit()
        except sqlite3.DatabaseError as error:
            raise self._meant(error) from error

    def _meant(self, error: sqlite3.DatabaseError) -> Exception:
        found = of_disk(error, self.path)
        if self._refused is not None and _primary(error) in _TORN:
            return OSError(self._refused.errno, self._refused.strerror, self._refused.filename)
        if isinstance(found, OSError):
            self._refused = found
        return found


def of_disk(error: sqlite3.Error, path: Path) -> Exception:
    """What the system said to SQLite, as far as it tells; any other error is itself."""
    number = _ERRNO.get(_primary(error))
    return OSError(number, os.strerror(number), str(path)) if number else error


def _primary(error: sqlite3.Error) -> int:
    """SQLite's own number of an error, 0 for one that it has none for."""
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY
