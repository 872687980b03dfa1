"""Where the bytes of blobs are: in a storage tree, or in a vault by a point's inventory."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.reading import VaultReader
from drkit.errors import ObjectMissing, ToolFailed
from drkit.registry import storage

_PIECE = 1 << 20
# A line of an inventory is shorter: a key and a version have 1024 bytes at most.
_LONGEST = 8192


class Data(Protocol):
    """Blobs by the digest that they are stored by; every method may raise ToolFailed."""

    def size(self, digest: str) -> int | None:
        """How long a blob is, or None where there is none."""

    def read(self, digest: str, first: int) -> Iterator[bytes]:
        """The bytes of a blob from one on; nobody has looked at them yet."""

    def wrong(self, digest: str) -> None:
        """Be told that a blob was read, and is another."""


class TreeData:
    """Those of a storage tree."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, digest: str) -> int | None:
        """See Data."""
        try:
            found = storage.blob_path(self._root, digest).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ToolFailed(f"cannot find {digest}: {error.strerror}") from None
        # To open a pipe or a device would wait for ever, or do something.
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, digest: str, first: int) -> Iterator[bytes]:
        """See Data."""
        try:
            with storage.blob_path(self._root, digest).open("rb") as file:
                file.seek(first)
                while piece := file.read(_PIECE):
                    yield piece
        except OSError as error:
            raise ToolFailed(f"cannot read {digest}: {error.strerror}") from None

    def wrong(self, digest: str) -> None:
        """See Data: a snapshot stays as it is."""


class VaultData:
    """Those of a vault, as the inventory in a file names them: sorted, a line a blob."""

    def __init__(self, reader: VaultReader, listed: Path) -> None:
        self._reader = reader
        # Not mapped into memory: a page that cannot be read would end drkit without a word.
        self._listed = listed.open("rb", buffering=0)
        self._size = listed.stat().st_size

    def close(self) -> None:
        """Let go of the inventory."""
        self._listed.close()

    def size(self, digest: str) -> int | None:
        """See Data."""
        found = self._entry(digest)
        return None if found is None else found.size

    def read(self, digest: str, first: int) -> Iterator[bytes]:
        """See Data: of the copies that the vault has of it, the first that is there."""
        found = self._entry(digest)
        for copy in self._reader.copies(found) if found else ():
            pieces = self._reader.read(copy)
            with contextlib.suppress(ObjectMissing):
                begin = next(pieces, b"")
                yield from _from(first, itertools.chain([begin], pieces))
                return
        raise ToolFailed(f"the vault does not have {digest}", hint="run `drkit verify`")

    def wrong(self, digest: str) -> None:
        """See Data: the vault remembers it, and the next backup copies it again."""
        self._reader.faults.note(digest)

    def _entry(self, digest: str) -> Entry | None:
        """The entry of a digest, by halves: five million lines take some twenty looks."""
        low, high = 0, self._size
        while low < high:
            begin, line = self._line_at((low + high) // 2)
            if not line:
                # There is one where there is no blob at all.
                return None
            found = inventory.entry(line)
            if found.digest == digest:
                return found
            if found.digest < digest:
                low = begin + len(line) + 1
            else:
                high = begin
        return None

    def _line_at(self, position: int) -> tuple[int, bytes]:
        """Where the line begins that has the byte at a position, and the line."""
        start = max(0, position - _LONGEST)
        try:
            data = os.pread(self._listed.fileno(), 2 * _LONGEST, start)
        except OSError as error:
            raise ToolFailed(f"cannot read the inventory of the vault: {error.strerror}") from None
        begin = data.rfind(b"\n", 0, position - start) + 1
        end = data.find(b"\n", position - start)
        return start + begin, data[begin:] if end < 0 else data[begin:end]


def _from(first: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What comes after so many bytes."""
    for piece in pieces:
        if first < len(piece):
            yield piece[first:]
        first = max(0, first - len(piece))
