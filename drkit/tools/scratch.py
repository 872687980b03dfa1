"""Databases that a run throws away: for what may not fit into memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def scratch_database(path: Path, *, autocommit: bool = False) -> sqlite3.Connection:
    """Open one, for any thread. Nothing in it is safe from a crash, and no transaction can be rolled back."""
    store = sqlite3.connect(path, check_same_thread=False, isolation_level=None if autocommit else "DEFERRED")
    store.execute("PRAGMA journal_mode = OFF")
    store.execute("PRAGMA synchronous = OFF")
    return store
