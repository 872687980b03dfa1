"""A list of images: written, read, and asked for one tag among many."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest

from drkit.errors import RestoreDamaged
from drkit.registry import image_list
from drkit.registry.image_list import ImageList, Listed
from drkit.serving.names import ListedNames


def digest(number: int) -> str:
    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"


IMAGES = sorted(
    [
        Listed("a/b", "", digest(1), 5, "child"),
        Listed("a/b", "", digest(2), None, "accessory", digest(3)),
        Listed("a/b", "latest", digest(3), 7),
        Listed("a/b", "v1", digest(4)),
        # Its name sorts before that of a repository below a/b, and behind a/b itself.
        Listed("a/b-c", "v1", digest(5)),
        Listed("a/b/d", "", digest(6)),
    ]
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / image_list.FILE_NAME
    file.write_bytes(b"".join(image_list.to_lines(IMAGES)))
    assert list(image_list.from_file(file)) == IMAGES


def test_none(tmp_path: Path) -> None:
    file = tmp_path / image_list.FILE_NAME
    file.write_bytes(b"".join(image_list.to_lines([])))
    assert list(image_list.from_file(file)) == []
    with contextlib.closing(ImageList(file)) as found:
        assert list(found.of("a/b")) == []


def test_tags_and_repositories_as_a_registry_gives_them(tmp_path: Path) -> None:
    file = tmp_path / image_list.FILE_NAME
    file.write_bytes(b"".join(image_list.to_lines(IMAGES)))
    with contextlib.closing(ImageList(file)) as found:
        assert list(found.of("a/b")) == IMAGES[:4]
        names = ListedNames(found)
        assert names.digest("a/b", "v1") == digest(4)
        assert [names.digest(*each) for each in (("a/b", "v"), ("a", "v1"), ("a/b/d", "v1"))] == [None] * 3
        assert names.tags("a/b", "", 10) == ["latest", "v1"]
        assert (names.tags("a/b", "latest", 10), names.tags("a/b", "", 1)) == (["v1"], ["latest"])
        assert names.repositories("", 10) == ["a/b", "a/b-c", "a/b/d"]
        assert names.repositories("a/b", 1) == ["a/b-c"]


@pytest.mark.parametrize(
    "line", ["{}", '{"repository": "a", "tag": "b", "digest": "../x"}', "[]", '{"digest": 1}']
)
def test_a_line_that_is_none(tmp_path: Path, line: str) -> None:
    file = tmp_path / image_list.FILE_NAME
    file.write_text(f"{line}\n")
    with pytest.raises(RestoreDamaged):
        list(image_list.from_file(file))
