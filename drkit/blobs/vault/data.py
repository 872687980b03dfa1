"""Blobs of a vault found one by one, in any order, as a point's inventory names them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.reading import Copy, VaultReader
from drkit.errors import ObjectMissing, ToolFailed
from drkit.tools.sorted_lines import SortedLines


class VaultData:
    """Blobs by digest, as the inventory in a file names them: sorted, a line a blob.

    Where somebody has read a blob and found that another version is right than the one that is named, `right`
    has it. For several threads at once; every method may raise ToolFailed.
    """

    def __init__(self, reader: VaultReader, listed: Path, right: Mapping[str, str] | None = None) -> None:
        self._reader = reader
        self._right = right if right is not None else {}
        self._listed = SortedLines(listed, "the inventory of the vault")

    def close(self) -> None:
        """Let go of the inventory."""
        self._listed.close()

    def size(self, digest: str) -> int | None:
        """How long a blob is, or None where there is none."""
        found = self._entry(digest)
        return None if found is None else found.size

    def read(self, digest: str, first: int) -> Iterator[bytes]:
        """The bytes of a blob from one on; nobody has looked at them yet.

        Of the copies that the vault has of it, the first that is there.
        """
        for copy in self._copies(digest):
            pieces = self._reader.read(copy)
            with contextlib.suppress(ObjectMissing):
                begin = next(pieces, b"")
                yield from _from(first, itertools.chain([begin], pieces))
                return
        raise ToolFailed(f"the vault does not have {digest}", hint="run `drkit verify`")

    def wrong(self, digest: str) -> None:
        """Be told that a blob was read, and is another: the next backup copies it again."""
        self._reader.faults.note(digest)

    def _copies(self, digest: str) -> Iterator[Copy]:
        found = self._entry(digest)
        if found is None:
            return
        if (version := self._right.get(digest)) is not None:
            yield Copy(self._reader.key(found), version)
        yield from self._reader.copies(found)

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
