"""Inventories are written and read as streams, and a damaged one is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.errors import RestoreDamaged

ENTRIES = [
    Entry("sha256:" + "a" * 64, "registry/a", 3),
    Entry("sha256:" + "b" * 64, "registry/b", 0, "v1", datetime(2027, 1, 2, tzinfo=UTC)),
]


def test_what_is_written_is_read() -> None:
    assert list(inventory.from_lines(inventory.to_lines(ENTRIES))) == ENTRIES


def test_lines_may_be_cut_anywhere() -> None:
    text = b"".join(inventory.to_lines(ENTRIES))
    for place in range(len(text)):
        assert list(inventory.from_lines([text[:place], text[place:]])) == ENTRIES


def test_many_entries_come_in_pieces() -> None:
    pieces = list(inventory.to_lines(ENTRIES * 2_000))
    assert len(pieces) > 1
    assert max(map(len, pieces)) < 1 << 17


def test_nothing_is_one_empty_line() -> None:
    assert list(inventory.to_lines([])) == [b"\n"]
    assert list(inventory.from_lines([b"\n"])) == []


def test_one_that_is_cut_short_is_refused() -> None:
    text = b"".join(inventory.to_lines(ENTRIES))
    with pytest.raises(RestoreDamaged) as caught:
        list(inventory.from_lines([text[:-1]]))
    assert caught.value.message == "the inventory of the vault is cut short"


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[]", b"3", b"null", b"nonsense", b'{"digest": "d", "key": "k", "size": null}', b"\xff"],
)
def test_a_line_that_is_no_entry_is_refused(line: bytes) -> None:
    with pytest.raises(RestoreDamaged) as caught:
        list(inventory.from_lines([line + b"\n"]))
    assert caught.value.message == "the inventory of the vault cannot be read"
