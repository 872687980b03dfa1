"""Databases that are thrown away: what a full disk says to them is said as to any other file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from drkit.checks.finding import Check, passed
from drkit.errors import NoSpace, failure_of
from drkit.model import CheckKind, Outcome
from drkit.registry.ledger import Ledger
from drkit.tools.scratch import open_database, scratch_database
from tests import filesystems


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A database with a table, on a file system without room for a row more than there is."""
    with filesystems.narrow(tmp_path / "narrow", "1m") as where:
        path = where / "it.db"
        store = scratch_database(path)
        store.execute("CREATE TABLE line (said TEXT)")
        store.commit()
        store.close()
        filesystems.fill(where)
        yield path


def insert(store: sqlite3.Connection) -> None:
    """What fits into its memory is written at the end."""
    store.executemany("INSERT INTO line VALUES (?)", [("x" * 4000,)] * 100)
    store.commit()


def insert_each(store: sqlite3.Connection) -> None:
    for _ in range(100):
        store.execute("INSERT INTO line VALUES (?)", ("x" * 4000,))


@pytest.mark.parametrize(
    ("begun", "insertion"),
    [
        (scratch_database, insert),
        (open_database, insert),
        (partial(scratch_database, autocommit=True), insert_each),
    ],
)
def test_a_full_disk_is_an_error_of_the_system_with_the_path(
    full: Path,
    begun: Callable[[Path], sqlite3.Connection],
    insertion: Callable[[sqlite3.Connection], None],
) -> None:
    with contextlib.closing(begun(full)) as store, pytest.raises(OSError, match="No space left") as raised:
        insertion(store)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(full))
    error = failure_of(raised.value)
    assert isinstance(error, NoSpace)
    assert (error.message, error.path) == (f"no space is left for {full}: No space left on device", str(full))


def confirm(ledger: Ledger, names: list[str]) -> None:
    for name in names:
        ledger.confirm(name)


def test_what_a_full_disk_has_torn_is_a_full_disk_and_no_bug(tmp_path: Path) -> None:
    """Without a journal a page that found no room is lost: the database is malformed from then on."""
    with filesystems.narrow(tmp_path / "narrow", "1m") as where:
        path = where / "it.db"
        with contextlib.closing(Ledger(path)) as ledger:
            names = [f"sha256:{hashlib.sha256(str(n).encode()).hexdigest()}" for n in range(1 << 15)]
            with pytest.raises(OSError, match="No space left"):
                confirm(ledger, names)
            finding = Check(CheckKind.BLOBS, lambda: passed(str(ledger.good(names[0])))).run()
            assert finding.outcome is Outcome.ERROR
            assert finding.detail == f"no space is left for {path}: No space left on device"
            with pytest.raises(OSError, match="No space left"):
                ledger.claim("another")


def test_what_is_wrong_with_a_query_stays_what_it_is(tmp_path: Path) -> None:
    with (
        contextlib.closing(scratch_database(tmp_path / "it.db")) as store,
        pytest.raises(sqlite3.OperationalError, match="no such table"),
    ):
        store.execute("SELECT * FROM absent")
