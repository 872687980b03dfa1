"""JSON lines as streams: what grows with a registry is written and read a piece at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from drkit.errors import RestoreDamaged

_PIECE = 1 << 16
_FROM_DISK = 1 << 20


def together(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines in pieces of about 64 KiB; none are one empty line, for restic stores no empty stream."""
    piece, any_yet = bytearray(), False
    for line in lines:
        piece += line
        if len(piece) > _PIECE:
            yield bytes(piece)
            piece.clear()
            any_yet = True
    if piece or not any_yet:
        yield bytes(piece) or b"\n"


def whole(pieces: Iterable[bytes], what: str) -> Iterator[bytes]:
    """The same bytes in pieces that end where lines do; raises RestoreDamaged where the last has no end.

    `what` is what it is called then.
    """
    rest = b""
    for piece in pieces:
        lines, feed, rest = (rest + piece).rpartition(b"\n")
        if feed:
            yield lines + feed
    if rest:
        raise RestoreDamaged(f"{what} is cut short", hint="restore from another point")


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a MiB at a time."""
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_FROM_DISK), b"")
