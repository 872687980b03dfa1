"""The blobs of a vault as files of a registry's tree: those that were read and right, in the copy that was.

`sha256/<2 hex>/<hex>/data`, below the tree's directory of blobs. Nothing is held: a file's number says where
in the inventory its line stands.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.reading import Copy, VaultReader
from drkit.errors import ToolFailed
from drkit.registry.ledger import Ledger
from drkit.tools.fuse import wire
from drkit.tools.fuse.wire import Child, Node
from drkit.tools.scratch import scratch_database
from drkit.tools.sorted_lines import SortedLines

_ALGORITHM = b"sha256"
_DATA = b"data"
_PREFIX = re.compile(rb"[0-9a-f]{2}")
_DIGITS = re.compile(rb"[0-9a-f]{64}")
# Numbers of nodes: the top is 1, then these, then two for each blob.
_SHA256 = 2
_FIRST_PREFIX = 256
_FIRST_BLOB = 512


class Chosen:
    """Which copies were read and right, where it was not the first that was tried; in a new file."""

    def __init__(self, path: Path) -> None:
        self._store = scratch_database(path, autocommit=True)
        self._store.execute("CREATE TABLE copy (digest TEXT PRIMARY KEY, key TEXT, version TEXT)")
        self._lock = threading.Lock()

    def note(self, digest: str, copy: Copy) -> None:
        """This one was right."""
        with self._lock:
            self._store.execute("INSERT OR REPLACE INTO copy VALUES (?, ?, ?)", (digest, *copy))

    def copy(self, shelf: VaultReader, entry: Entry) -> Copy:
        """The copy of a blob that was right."""
        with self._lock:
            asked = self._store.execute("SELECT key, version FROM copy WHERE digest = ?", (entry.digest,))
            found = asked.fetchone()
        return Copy(*found) if found else first_copy(shelf, entry)

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()


def first_copy(shelf: VaultReader, entry: Entry) -> Copy:
    """The copy of a blob that is tried before all others."""
    return Copy(shelf.key(entry), shelf.version(entry))


class VaultFiles:
    """See fuse.serving.Files: what a point's inventory names, and the ledger knows to be right."""

    def __init__(self, shelf: VaultReader, listed: Path, ledger: Ledger, chosen: Chosen) -> None:
        self._shelf = shelf
        self._listed = SortedLines(listed, "the inventory of the vault")
        self._ledger = ledger
        self._chosen = chosen

    def close(self) -> None:
        """Let go of the inventory."""
        self._listed.close()

    def node(self, number: int) -> Node:
        """See Files."""
        return Node(number, self._entry(number).size if _is_data(number) else None)

    def child(self, number: int, name: bytes) -> Node | None:
        """See Files."""
        if number == wire.ROOT:
            return Node(_SHA256, None) if name == _ALGORITHM else None
        if number == _SHA256:
            return Node(_FIRST_PREFIX + int(name, 16), None) if _PREFIX.fullmatch(name) else None
        if number < _FIRST_BLOB:
            return self._directory(name) if _DIGITS.fullmatch(name) and number == _prefix(name) else None
        return self.node(number + 1) if name == _DATA and not _is_data(number) else None

    def children(self, number: int, start: int) -> Iterator[Child]:
        """See Files."""
        if number == wire.ROOT:
            yield from [Child(_ALGORITHM, Node(_SHA256, None), 1)][start:]
        elif number == _SHA256:
            for each in range(start, 256):
                yield Child(b"%02x" % each, Node(_FIRST_PREFIX + each, None), each + 1)
        elif number < _FIRST_BLOB:
            yield from self._directories(f"sha256:{number - _FIRST_PREFIX:02x}", start)
        else:
            yield from [Child(_DATA, self.node(number + 1), 1)][start:]

    def open(self, number: int) -> BlobReader:
        """See Files."""
        entry = self._entry(number)
        copy = self._chosen.copy(self._shelf, entry)
        return BlobReader(entry, lambda: self._shelf.read(copy))

    def _directory(self, name: bytes) -> Node | None:
        digest = f"sha256:{name.decode()}"
        position = self._listed.position(lambda line: inventory.entry(line).digest >= digest)
        line = next(self._listed.lines(position), None)
        there = line is not None and inventory.entry(line).digest == digest
        return Node(_number(position), None) if there and self._ledger.good(digest) else None

    def _directories(self, beginning: str, start: int) -> Iterator[Child]:
        """Those of the blobs whose digests begin so; `start` is one more than where a line begins."""
        position = (
            start - 1
            if start
            else self._listed.position(lambda line: inventory.entry(line).digest >= beginning)
        )
        for line in self._listed.lines(position):
            digest, here = inventory.entry(line).digest, position
            if not digest.startswith(beginning):
                return
            position += len(line) + 1
            if self._ledger.good(digest):
                yield Child(digest.removeprefix("sha256:").encode(), Node(_number(here), None), position + 1)

    def _entry(self, number: int) -> Entry:
        position = (number - _FIRST_BLOB) // 2
        return inventory.entry(next(self._listed.lines(position)))


def _number(position: int) -> int:
    """The number of a blob's directory; that of its data is one more."""
    return _FIRST_BLOB + 2 * position


def _is_data(number: int) -> bool:
    return number >= _FIRST_BLOB and number % 2 == 1


def _prefix(name: bytes) -> int:
    return _FIRST_PREFIX + int(name[:2], 16)


class BlobReader:
    """See fuse.serving.Reader: a blob as a stream, which begins anew where somebody goes back.

    `begin` gives its bytes from the first on.
    """

    def __init__(self, entry: Entry, begin: Callable[[], Iterator[bytes]]) -> None:
        self._entry = entry
        self._begin = begin
        self._pieces: Iterator[bytes] = iter(())
        self._rest = memoryview(b"")
        # Where the rest, and after it the pieces, go on; not begun yet.
        self._position: int | None = None

    def read(self, first: int, count: int) -> bytes:
        """See Reader."""
        count = min(count, self._entry.size - first)
        if count <= 0:
            return b""
        if self._position is None or first < self._position:
            self._pieces, self._rest, self._position = self._begin(), memoryview(b""), 0
        for _ in self._taken(first - self._position):
            pass
        return b"".join(self._taken(count))

    def close(self) -> None:
        """See Reader."""
        # Its connection goes with it.
        self._pieces = iter(())

    def _taken(self, count: int) -> Iterator[memoryview]:
        assert self._position is not None
        while count:
            if not self._rest:
                self._rest = memoryview(self._next())
            found, self._rest = self._rest[:count], self._rest[count:]
            self._position += len(found)
            count -= len(found)
            yield found

    def _next(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise ToolFailed(f"{self._entry.digest} has fewer bytes in the vault than it had before")
        return piece
