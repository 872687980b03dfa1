"""A disk without room amid a run: of what was read nothing is torn, and nothing is taken for another."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit.points.ledger import records
from drkit.points.ledger.joining import Reader, Round
from drkit.points.ledger.spool import Spool
from tests import filesystems

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
BLOCK = 4096


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Path]:
    """A disk with a directory, and room for one more block."""
    with filesystems.narrow(tmp_path / "narrow", "1m") as where:
        (where / "own").mkdir()
        filling = filesystems.fill(where)
        with filling.open("r+b") as file:
            file.truncate(filling.stat().st_size - BLOCK)
        yield where


def digest(number: int) -> str:
    """All of one prefix."""
    return f"sha256:00{hashlib.sha256(str(number).encode()).hexdigest()[2:]}"


def test_what_was_read_while_there_was_no_room_is_whole_when_there_is(narrow: Path) -> None:
    spool = Spool(narrow / "own" / "read")
    given = [digest(number) for number in range(3 * BLOCK)]
    refused = 0
    for each in given:
        try:
            spool.right(each, 1)
        except OSError:
            refused += 1
    assert refused
    (narrow / "filling").unlink()
    assert set(spool.of(0)) == {records.name_of(each) for each in given}


def test_what_was_listed_while_there_was_no_room_is_whole_when_there_is(narrow: Path) -> None:
    made = Round("vault", "here", (), Reader("run", "verify", "host", NOW), NOW, narrow / "own" / "round")
    given = sorted(digest(number) for number in range(4 * BLOCK))
    refused = 0
    for each in given:
        try:
            made.listed(each, 1)
        except OSError:
            refused += 1
    made.all_listed()
    assert refused
    with contextlib.suppress(OSError):
        made.write(narrow / "own" / "first")
    (narrow / "filling").unlink()
    proofs = made.write(narrow / "own" / "second")
    assert sum(each.items for each in proofs.unread) == len(given)
    names = [name for name, _, _ in records.read(narrow / "own" / "second").records()]
    assert names == [records.name_of(each) for each in given]
