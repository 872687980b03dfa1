"""Reading a tar that comes as a stream: one member after another, nothing kept, nothing cut goes unseen.

Python's own reader takes a tar that breaks off between two members, or has noise there, for one that ends.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from drkit.errors import DrkitError, RestoreDamaged

_PIECE = 1 << 20


@dataclass(frozen=True)
class Member:
    """One member; `kind` is file, directory or other (a link, a device), `modified` seconds since 1970.

    `pieces` gives a file's bytes once, and only until the next member is asked for.
    """

    name: str
    kind: str
    size: int
    modified: float
    pieces: Iterator[bytes]


def members(pieces: Iterable[bytes], what: str) -> Iterator[Member]:
    """The members of a tar in the order in which they stand; reads the stream to its end.

    Raises RestoreDamaged, calling the tar `what`, where it is cut short or is none.
    """
    stream = _Stream(pieces)
    try:
        with tarfile.open(mode="r|", fileobj=stream, tarinfo=_Strict) as archive:
            while (member := archive.next()) is not None:
                # It would keep all of them: five million are gigabytes.
                archive.members.clear()  # type: ignore[attr-defined]  # not in the library's types
                yield _member(archive, member, what)
        # Only now does whoever makes the stream say whether all of it was well.
        stream.drain()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _damaged(what, str(error)) from None


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, what: str) -> Member:
    kind = "file" if member.isreg() else "directory" if member.isdir() else "other"
    return Member(member.name, kind, member.size, float(member.mtime), _pieces(archive, member, what))


def _pieces(archive: tarfile.TarFile, member: tarfile.TarInfo, what: str) -> Iterator[bytes]:
    file = archive.extractfile(member) if member.isreg() else None
    left = member.size if file else 0
    while file is not None and left:
        # Errors arise where the pieces are taken, outside of `members`; and a cut one need not be an error.
        try:
            piece = file.read(min(left, _PIECE))
        except tarfile.TarError as error:
            raise _damaged(what, str(error)) from None
        if not piece:
            raise _damaged(what, f"{member.name} ends early")
        left -= len(piece)
        yield piece


def _damaged(what: str, why: str) -> RestoreDamaged:
    return RestoreDamaged(f"{what} is cut short or damaged: {why}", hint="restore from another point")


class _Strict(tarfile.TarInfo):
    """Only a block of zeros ends a tar: neither noise nor nothing does."""

    @classmethod
    def fromtarfile(cls, archive: Any) -> Any:
        """The next member, as the library reads it."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # not in the library's types
            raise
        except tarfile.HeaderError as error:
            # Whoever asks for the next member would take it for the end.
            raise tarfile.ReadError(str(error)) from None


class _Stream(io.RawIOBase):
    """Pieces as something to read from."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = bytearray()
        self._error: DrkitError | None = None

    def read(self, size: int = -1) -> bytes:
        """An error comes after all bytes that came before it: they say in which member it was."""
        while len(self._rest) < size and self._error is None:
            try:
                piece = next(self._pieces, None)
            except DrkitError as error:
                self._error = error
                break
            if piece is None:
                break
            self._rest += piece
        if self._error and not self._rest:
            raise self._error
        found = bytes(self._rest[:size])
        del self._rest[:size]
        return found

    def drain(self) -> None:
        if self._error:
            raise self._error
        for _ in self._pieces:
            pass
