"""Where the bytes of blobs are: in a storage tree, or in a vault by a point's inventory."""

from __future__ import annotations

import contextlib
import itertools
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.reading import VaultReader
from drkit.errors import ObjectMissing, ToolFailed
from drkit.registry import storage
from drkit.tools.sorted_lines import SortedLines

_PIECE = 1 << 20


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
            file = storage.blob_path(self._root, digest).open("rb")
            try:
                file.seek(first)
                while piece := file.read(_PIECE):
                    yield piece
            finally:
                # Where the mount is gone, closing is an error as well, and nobody's concern.
                with contextlib.suppress(OSError):
                    file.close()
        except OSError as error:
            raise ToolFailed(f"cannot read {digest}: {error.strerror}") from None

    def wrong(self, digest: str) -> None:
        """See Data: a snapshot stays as it is."""


class VaultData:
    """Those of a vault, as the inventory in a file names them: sorted, a line a blob."""

    def __init__(self, reader: VaultReader, listed: Path) -> None:
        self._reader = reader
        self._listed = SortedLines(listed, "the inventory of the vault")

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
        """The entry of a digest."""
        line = next(self._listed.since(lambda line: inventory.entry(line).digest >= digest), None)
        found = None if line is None else inventory.entry(line)
        return found if found and found.digest == digest else None


def _from(first: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What comes after so many bytes."""
    for piece in pieces:
        if first < len(piece):
            yield piece[first:]
        first = max(0, first - len(piece))
