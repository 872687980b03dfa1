"""Where the blobs of a unit are read: a directory, or a bucket; the same on this machine and on a worker."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from drkit.blobs.inventory import Entry
from drkit.blobs.units.unit import Wrong
from drkit.blobs.vault.reading import Copy, VaultReader
from drkit.errors import ObjectMissing, ToolFailed
from drkit.registry import storage
from drkit.tools.s3.bucket import Access

_PIECE = 1 << 20
# What a disk or a file system says of bytes that it cannot give back any more.
_UNREADABLE = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG})
# Is asked between pieces, and raises where nobody waits for the work any more.
Stop = Callable[[], object]
Tell = Callable[[int], object]


class Source(Protocol):
    """Blobs to be read. Every method may raise ToolFailed."""

    @property
    def at_once(self) -> int:
        """How many blobs of one unit are read side by side: over a network most of the time is waiting."""

    def place(self, *, files: bool) -> Mapping[str, Any]:
        """How a worker opens the same; see Work."""

    def look(self, entry: Entry, stop: Stop, tell: Tell) -> Wrong | None:
        """Read a blob to its end; says what is wrong with it. `tell` is told of bytes read."""

    def head(self, entry: Entry, count: int) -> bytes:
        """The first bytes of a blob, at most so many; none where it cannot be read."""


@dataclass(frozen=True)
class DirectorySource:
    """A registry's root directory; `elsewhere` is what workers call it."""

    root: Path
    elsewhere: Path | None = None
    at_once: int = 1

    def place(self, *, files: bool) -> Mapping[str, Any]:  # noqa: ARG002 - a directory needs none
        """See Source."""
        return {"kind": "directory", "root": str(self.elsewhere or self.root)}

    def look(self, entry: Entry, stop: Stop, tell: Tell) -> Wrong | None:
        """See Source. What is read does not stay in memory: the registry's own files shall.

        A blob that the disk cannot read is damaged as one with other bytes is: a registry cannot serve it.
        """
        try:
            with storage.blob_path(self.root, entry.digest).open("rb", buffering=0) as file:
                found = judged(_pieces(file), entry, stop, tell)
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return found
        except (FileNotFoundError, NotADirectoryError):
            return Wrong("gone")
        except OSError as error:
            if error.errno in _UNREADABLE:
                return Wrong("unreadable", said=f"{entry.digest} in {self.root}: {error.strerror}")
            raise ToolFailed(f"cannot read {entry.digest} in {self.root}: {error.strerror}") from None

    def head(self, entry: Entry, count: int) -> bytes:
        """See Source."""
        try:
            with storage.blob_path(self.root, entry.digest).open("rb") as file:
                return file.read(count)
        except OSError:
            return b""


def _pieces(file: Any) -> Iterator[memoryview]:
    # One piece of memory for all: a new one for each costs more than the reading does.
    room = memoryview(bytearray(_PIECE))
    while count := file.readinto(room):
        yield room[:count]


@dataclass(frozen=True)
class BucketSource:
    """Blobs in a bucket under the keys and versions that the entries name.

    With `any_copy` another version of a blob is as good, where it hashes right.
    """

    shelf: VaultReader
    any_copy: bool
    at_once: int = 8

    def place(self, *, files: bool) -> Mapping[str, Any]:
        """See Source."""
        s3 = named(self.shelf.bucket.access, files=files)
        return {"kind": "bucket", "copies": self.any_copy, "s3": s3}

    def copies(self, entry: Entry) -> Iterator[Copy]:
        """Where its bytes may be: what the entry names, then, if it may be another, its other versions."""
        found = self.shelf.copies(entry)
        return found if self.any_copy else islice(found, 1)

    def read(self, copy: Copy) -> Generator[bytes]:
        """The bytes of a copy, in pieces; raises ObjectMissing."""
        yield from self.shelf.read(copy)

    def look(self, entry: Entry, stop: Stop, tell: Tell) -> Wrong | None:
        """See Source: says it of the copy that the entry names, where no other is right."""
        first: Wrong | None = None
        for copy in self.copies(entry):
            try:
                with contextlib.closing(self.read(copy)) as pieces:
                    found = judged(pieces, entry, stop, tell)
            except ObjectMissing:
                found = Wrong("gone")
            if found is None:
                return None
            first = first or found
        return first

    def head(self, entry: Entry, count: int) -> bytes:
        """See Source: those of the copy that the entry names."""
        return next(self.heads(entry, count))

    def heads(self, entry: Entry, count: int) -> Iterator[bytes]:
        """The first bytes of each copy; none of one that is not there."""
        for key, version in self.copies(entry):
            try:
                yield self.shelf.bucket.head(key, count, version)
            except ObjectMissing:
                yield b""


def judged(pieces: Iterable[bytes | memoryview], entry: Entry, stop: Stop, tell: Tell) -> Wrong | None:
    """Hash a blob's bytes, no more of them than it should have; a size below zero is not known."""
    hasher, size = hashlib.sha256(), 0
    for piece in pieces:
        stop()
        if 0 <= entry.size < size + len(piece):
            hasher.update(piece[: entry.size - size])
            return Wrong("longer", entry.size, hasher.hexdigest())
        hasher.update(piece)
        size += len(piece)
        tell(len(piece))
    # What an interruption has cut short is not wrong.
    stop()
    right = f"sha256:{hasher.hexdigest()}" == entry.digest and entry.size in (size, -1)
    return None if right else Wrong("bytes", size, hasher.hexdigest())


def named(access: Access, *, files: bool) -> dict[str, Any]:
    """How a bucket is reached: credentials by the path of their file alone, or not at all."""
    found: dict[str, Any] = {
        "bucket": access.bucket,
        "endpoint": access.endpoint,
        "region": access.region,
        "ca_file": str(access.ca_file) if access.ca_file else None,
        "addressing": access.addressing,
        "upload_limit": access.upload_limit,
        "download_limit": access.download_limit,
    }
    if files:
        file = access.credentials_file
        found |= {"profile": access.profile, "credentials_file": str(file) if file else None}
    return found
