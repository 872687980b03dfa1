"""Blobs cut into units."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from drkit.blobs.inventory import Entry
from drkit.blobs.units.unit import Unit, cut

OPENING = 64 << 10


def blob(number: int, size: int) -> Entry:
    return Entry(f"sha256:{hashlib.sha256(b'%d' % number).hexdigest()}", "", size)


@given(st.lists(st.integers(-1, 5_000_000), max_size=300), st.integers(1, 4_000_000))
def test_every_blob_is_in_one_unit_and_no_unit_is_too_big_or_of_two_prefixes(
    sizes: list[int], most: int
) -> None:
    entries = sorted(blob(number, size) for number, size in enumerate(sizes))
    units = list(cut(entries, most))
    assert [item for unit in units for item in unit.items] == entries
    assert [unit.number for unit in units] == list(range(1, len(units) + 1))
    for unit in units:
        assert len({item.digest[:9] for item in unit.items}) == 1
        cost = sum(max(item.size, 0) + OPENING for item in unit.items)
        assert cost <= most or len(unit.items) == 1
    for one, other in pairwise(units):
        both = [*one.items, *other.items]
        together = sum(max(item.size, 0) + OPENING for item in both)
        first = sum(max(item.size, 0) + OPENING for item in [*one.items, other.items[0]])
        assert first > most or len({item.digest[:9] for item in both}) == 2, together


def test_a_unit_says_which_it_is() -> None:
    one, other = Entry(f"sha256:ab{'1' * 62}", "", 5), Entry(f"sha256:ab{'2' * 62}", "", -1)
    unit = Unit(7, (one, other))
    assert unit.name == "unit 7 (2 blobs, sha256:ab1111111111 to sha256:ab2222222222)"
    assert unit.bytes == 5
    assert Unit(8, (one,)).name == "unit 8 (1 blobs, sha256:ab1111111111)"
