"""A file system of drkit's own, as the kernel and everybody who reads sees it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from drkit.errors import ToolFailed, ToolMissing
from drkit.tools.fuse import mounting, serving, wire
from drkit.tools.fuse.wire import Child, Node
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from tests import needs

_FIRST = 2
_GONE = b"gone"


@pytest.fixture(autouse=True)
def fuse() -> None:
    try:
        mounting.look()
    except ToolMissing as error:
        needs.missing(error.message)


class Shelf:
    """Files in one directory, and one that cannot be read."""

    def __init__(self, contents: list[bytes]) -> None:
        self.contents = contents
        self.names = [b"%05d-%s" % (number, b"x" * (number % 90)) for number in range(len(contents))]
        self.closed = 0

    def node(self, number: int) -> Node:
        return Node(number, None if number == wire.ROOT else len(self.contents[number - _FIRST]))

    def child(self, number: int, name: bytes) -> Node | None:
        if number != wire.ROOT or name not in self.names:
            return None
        return self.node(_FIRST + self.names.index(name))

    def children(self, number: int, start: int) -> Iterator[Child]:
        assert number == wire.ROOT
        for each in range(start, len(self.names)):
            yield Child(self.names[each], self.node(_FIRST + each), each + 1)

    def open(self, number: int) -> Opened:
        return Opened(self, self.contents[number - _FIRST])


class Opened:
    """One of its files, open."""

    def __init__(self, shelf: Shelf, content: bytes) -> None:
        self.shelf = shelf
        self.content = content

    def read(self, first: int, count: int) -> bytes:
        if self.content == _GONE:
            raise ToolFailed("the shelf has fallen down")
        return self.content[first : first + count]

    def close(self) -> None:
        self.shelf.closed += 1


def mounted_on(directory: Path) -> bool:
    return mounting.mounted_below(Path("/proc/self/mountinfo").read_text(), directory) != []


def test_what_is_served_is_what_is_read(tmp_path: Path) -> None:
    """Names, sizes and bytes, also by many at once and from anywhere in a file; and no name more."""
    chance = Random("shelf")
    shelf = Shelf([b"", *(chance.randbytes(chance.choice((1, 4096, 70_001, 3 << 20))) for _ in range(30))])
    place = tmp_path / "place"
    place.mkdir()
    with serving.mounted(shelf, place) as mounted:
        assert sorted(os.fsencode(path.name) for path in place.iterdir()) == shelf.names
        paths = [place / os.fsdecode(name) for name in shelf.names]
        assert [path.stat().st_size for path in paths] == list(map(len, shelf.contents))
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(Path.read_bytes, paths)) == shelf.contents
        largest = max(range(len(paths)), key=lambda number: len(shelf.contents[number]))
        with paths[largest].open("rb", buffering=0) as file:
            for first in (2 << 20, 17, 0, len(shelf.contents[largest]) - 1):
                file.seek(first)
                assert file.read(5) == shelf.contents[largest][first : first + 5]
        assert not (place / "00000-y").exists()
        with pytest.raises(OSError, match="Read-only file system"):
            (place / "new").touch()
        assert mounted.gone == ""
    assert not mounted_on(tmp_path)
    assert list(place.iterdir()) == []
    assert shelf.closed == len(paths) + 1, "whatever was open is closed"


def test_many_names_are_listed(tmp_path: Path) -> None:
    shelf = Shelf([b"1"] * 3000)
    place = tmp_path / "place"
    place.mkdir()
    with serving.mounted(shelf, place):
        assert [
            os.fsencode(each.name) for each in sorted(os.scandir(place), key=lambda each: each.name)
        ] == shelf.names


def test_programs_start_while_files_are_open(tmp_path: Path) -> None:
    """Python starts them with its lock held, and a new process closes all files before it runs anything."""
    place = tmp_path / "place"
    place.mkdir()
    shelf = Shelf([b"first", b"second"])
    with serving.mounted(shelf, place), (place / os.fsdecode(shelf.names[0])).open("rb") as file:
        execute.check(Command(("true",)))
        assert file.read() == b"first"


def test_what_cannot_be_read_is_an_error_and_told(tmp_path: Path) -> None:
    shelf = Shelf([b"first", _GONE, b"third"])
    place = tmp_path / "place"
    place.mkdir()
    with serving.mounted(shelf, place) as mounted:
        first, second, third = (place / os.fsdecode(name) for name in shelf.names)
        assert first.read_bytes() == b"first"
        for path in (second, third):
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                path.read_bytes()
        assert mounted.gone == "the shelf has fallen down"
    assert not mounted_on(tmp_path)


def test_a_mount_that_somebody_ends_is_told(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with serving.mounted(Shelf([b"first"]), place) as mounted:
        mounting.unmount_below(tmp_path)
        assert list(place.iterdir()) == []
        while not mounted.gone:
            time.sleep(0.01)
        assert mounted.gone.startswith("the mount has ended")


def test_where_nothing_can_be_mounted(tmp_path: Path) -> None:
    with (
        pytest.raises(ToolFailed, match=r"fusermount3? does not mount: "),
        serving.mounted(Shelf([]), tmp_path / "a"),
    ):
        pass
