"""The inventories of many points as one sorted stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.blobs import inventory
from drkit.blobs.inventories import Stream, merged
from drkit.blobs.inventory import Entry
from drkit.errors import RestoreDamaged
from drkit.registry import storage

DIGESTS = sorted(f"sha256:{hashlib.sha256(bytes([number])).hexdigest()}" for number in range(30))
LOCKS = (None, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def entry(number: int, version: str | None, lock: int) -> Entry:
    digest = DIGESTS[number]
    return Entry(digest, f"vault/{storage.blob_name(digest)}", 10, version, LOCKS[lock])


def stream(entries: Iterable[Entry]) -> Stream:
    pieces = list(inventory.to_lines(entries))
    return lambda: pieces


POINT = st.dictionaries(st.integers(0, 29), st.tuples(st.sampled_from([None, "a", "b"]), st.integers(0, 2)))


@given(st.lists(POINT, max_size=11))
def test_every_version_of_a_blob_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, points: list[dict[int, tuple[str | None, int]]]
) -> None:
    directory = tmp_path_factory.mktemp("merged")
    made = [[entry(number, *what) for number, what in sorted(point.items())] for point in points]
    found = list(merged([stream(each) for each in made], directory))
    assert [each.digest for each in found] == sorted(each.digest for each in found)
    wanted = {(each.digest, each.version) for point in made for each in point}
    assert len(found) == len(wanted)
    assert {(each.digest, each.version) for each in found} == wanted
    assert list(directory.iterdir()) == []


GOOD = b"".join(inventory.to_lines([entry(3, "a", 0), entry(4, "a", 0)]))


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-1],
        GOOD[:50],
        b"\n".join(reversed(GOOD.splitlines())) + b"\n",
        b'{"digest": "x", "key": "y", "size": 1}\n',
        b"no inventory\n",
        # Lines that sort as lines, and not as the digests in them.
        GOOD.replace(b'{"digest": "' + DIGESTS[3].encode(), b'{ "digest": "' + DIGESTS[9].encode()),
    ],
)
def test_what_is_no_inventory_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(RestoreDamaged):
        list(merged([lambda: [data], stream([entry(5, None, 0)])], tmp_path))
