"""What a seal tells of other points: each line holds for one tree."""

from __future__ import annotations

import json

import pytest

from drkit.points import history
from drkit.points.history import Entry

TREE = "ab" * 32


def test_what_is_written_is_read_however_it_is_cut() -> None:
    value = {"id": "point", "warnings": ["two\n words", "}}", "\u20ac"], "parts": []}
    data = json.dumps(value, indent=1).encode()
    written = b"".join(history.lines([Entry("", "manifest", data), Entry(TREE, "drill", data)]))
    assert [json.loads(line).keys() for line in written.splitlines()] == [
        {"tree": None, "manifest": None}.keys(),
        {"tree": None, "drill": None}.keys(),
    ]
    for size in (1, 7, len(written)):
        pieces = [written[start : start + size] for start in range(0, len(written), size)]
        found = list(history.entries(pieces))
        assert [(entry.tree, entry.kind) for entry in found] == [("", "manifest"), (TREE, "drill")]
        assert [json.loads(entry.data) for entry in found] == [value, value]


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b'{"tree":"ab","notes":{}}', b'{"tree":"xy","drill":{}}', b'{"tree":"ab","drill":{}'],
)
def test_what_is_no_entry_is_left_out(line: bytes) -> None:
    good = b"".join(history.lines([Entry(TREE, "drill", b"{}")]))
    assert list(history.entries([line + b"\n" + good + line])) == [Entry(TREE, "drill", b"{}")]
