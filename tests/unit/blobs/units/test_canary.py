"""A blob that is named with a wrong size, and who answers for it."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from drkit.blobs.inventory import Entry
from drkit.blobs.units import canary, worker
from drkit.blobs.units.sources import DirectorySource
from drkit.blobs.units.unit import DONE, Unit, Wrong
from drkit.blobs.units.work import Hashing
from drkit.registry import storage


@pytest.fixture
def source(tmp_path: Path) -> DirectorySource:
    return DirectorySource(tmp_path)


def stored(source: DirectorySource, *data: bytes) -> Unit:
    entries = []
    for each in data:
        entry = Entry(f"sha256:{hashlib.sha256(each).hexdigest()}", "", len(each))
        path = storage.blob_path(source.root, entry.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each)
        entries.append(entry)
    return Unit(1, tuple(sorted(entries)))


def nothing(*_arguments: object) -> None:
    """Asked between pieces, and told of them."""


def test_who_reads_answers_and_who_does_not_cannot(source: DirectorySource) -> None:
    unit = stored(source, b"first" * 9, b"second" * 3000, b"third" * 30_000)
    for seed in range(40):
        planted = canary.plant(unit, source.head, random.Random(seed))
        assert planted is not None
        asked = planted.planted(unit)
        assert len(asked) == 4
        assert asked[planted.position] == planted.entry
        assert [item for place, item in enumerate(asked) if place != planted.position] == list(unit.items)
        found = worker.do(Hashing(source), asked, nothing, nothing)
        assert list(found) == [planted.position]
        assert planted.is_answered(found[planted.position])
        right = found[planted.position]
        assert isinstance(right, Wrong)
        for lie in (DONE, Wrong("gone"), right._replace(digits="0" * 64), right._replace(kind="bytes")):
            assert not planted.is_answered(lie)
        assert not planted.is_answered(Wrong("longer", right.size, planted.entry.digest[7:]))


def test_its_size_is_never_that_of_the_blob(source: DirectorySource) -> None:
    unit = stored(source, b"ab")
    sizes = set()
    for seed in range(20):
        planted = canary.plant(unit, source.head, random.Random(seed))
        assert planted is not None
        sizes.add(planted.entry.size)
    assert sizes == {1}


def test_where_nothing_tells_anything_there_is_none(source: DirectorySource) -> None:
    assert canary.plant(stored(source, b"", b"x"), source.head, random.Random(1)) is None
    gone = Unit(1, (Entry(f"sha256:{'0' * 64}", "", 99),))
    assert canary.plant(gone, source.head, random.Random(1)) is None


def test_what_is_gone_meanwhile_is_no_lie(source: DirectorySource) -> None:
    unit = stored(source, b"here" * 99)
    planted = canary.plant(unit, source.head, random.Random(1))
    assert planted is not None
    assert canary.still_holds(planted, source.head)
    storage.blob_path(source.root, unit.items[0].digest).write_bytes(b"other bytes" * 99)
    assert not canary.still_holds(planted, source.head)
    storage.blob_path(source.root, unit.items[0].digest).unlink()
    assert not canary.still_holds(planted, source.head)
