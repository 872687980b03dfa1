"""The list of digests: what is written comes back, however the stream is cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drkit.blobs import digests
from drkit.blobs.digests import Digest
from drkit.errors import RestoreDamaged

PLAIN: list[Digest] = [("sha256:" + "0a" * 32, 5), ("sha256:" + "ff" * 32, None), ("sha512:" + "1" * 128, 0)]
# Tables may hold anything.
ODD: list[Digest] = [
    ('a"b', 1),
    ("back\\slash", None),
    ("é", 2),
    ("line\nfeed", 3),
    ("with space", 4),
    ("", 5),
]


def test_as_json_would_write_them() -> None:
    text = b"".join(digests.to_lines(PLAIN + ODD))
    assert text == b"".join(json.dumps({"digest": d, "size": s}).encode() + b"\n" for d, s in PLAIN + ODD)


@pytest.mark.parametrize("listed", [PLAIN, ODD, PLAIN + ODD, []])
def test_they_come_back(listed: list[Digest]) -> None:
    text = b"".join(digests.to_lines(listed))
    for cut in range(len(text) + 1):
        assert list(digests.from_lines([text[:cut], text[cut:]])) == listed


def test_written_otherwise() -> None:
    assert list(digests.from_lines([b'{"size":7,  "digest":"a"}\n\n{"digest": "b", "size": 1}\n'])) == [
        ("a", 7),
        ("b", 1),
    ]


@pytest.mark.parametrize("line", [b"[]", b"{}", b'{"digest": "a"}', b'{"digest": "a", "size": 1', b"\xff"])
def test_what_is_no_digest(line: bytes) -> None:
    with pytest.raises(RestoreDamaged):
        list(digests.from_lines([b'{"digest": "b", "size": 1}\n' + line + b"\n"]))
    with pytest.raises(RestoreDamaged, match="cut short"):
        list(digests.from_lines([b'{"digest": "b", "size": 1}\n' + line]))


def test_counted_as_written(tmp_path: Path) -> None:
    path = tmp_path / "digests.jsonl"
    listed: list[Digest] = [(f"sha256:{number:064x}", number) for number in range(50_000)]
    assert digests.write(path, listed) == digests.count(path) == len(listed)
    assert list(digests.from_file(path)) == listed
