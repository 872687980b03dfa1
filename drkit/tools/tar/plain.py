"""Whether the headers of a tar's member mean the same to every reader of tars.

GNU's tar, busybox's and Python's differ where a name or a size is given twice, where old formats meet new
ones and where numbers are none: one of them would write another file than the one that was looked at. What a
writer of tars makes needs none of that. (The formats: POSIX pax, and GNU tar's manual, "Tar Internals".)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from tarfile import TarInfo

_BLOCK = 512
_PAX, _LONG = b"x", (b"L", b"K")
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"5": "directory", b"2": "link"}
_POSIX = b"ustar\0"
# Where numbers stand in a header: mode, uid, gid, size, mtime.
_NUMBERS = (slice(100, 108), slice(108, 116), slice(116, 124), slice(124, 136), slice(136, 148))
_OCTAL = re.compile(rb" *[0-7]*[ \0]*")
# Numbers that are too large for octal digits, and times before 1970.
_BINARY = (0x80, 0xFF)
_DECIMAL = re.compile(r"-?\d+(\.\d*)?")


def ambiguity(archive: bytes, member: TarInfo) -> str | None:
    """What another reader could take otherwise, in words; None where there is nothing.

    `member` is as tarfile has read it from the archive.
    """
    raw = archive[member.offset : member.offset_data]
    *before, last = _headers(raw)
    if len(before) > 1 and any(kind == _PAX for kind, _ in before):
        return "has several headers that could name it"
    if len({kind for kind, _ in before}) != len(before) or any(k not in (_PAX, *_LONG) for k, _ in before):
        return "has several headers that could name it"
    return _in_attributes(member) or _in_header(last[1], member)


def _headers(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and block of every header of a member; its own is the last."""
    place = 0
    while place < len(raw) - _BLOCK:
        block = raw[place : place + _BLOCK]
        yield block[156:157], block
        size = block[124:136].strip(b" \0")
        # Nobody needs a longer one than octal digits can say, and tarfile has read it already.
        place += _BLOCK + -(-int(size, 8) // _BLOCK) * _BLOCK if size.isdigit() else len(raw)
    yield raw[-_BLOCK:][156:157], raw[-_BLOCK:]


def _in_attributes(member: TarInfo) -> str | None:
    found = member.pax_headers
    # Sparse files have names and sizes of their own there.
    if "size" in found or any(key.startswith("GNU.") for key in found):
        return "has attributes that not every tar knows"
    if any(not found[key].isdecimal() for key in ("uid", "gid") if key in found):
        return "has an impossible owner"
    if any(not _DECIMAL.fullmatch(found[key]) for key in ("mtime", "atime", "ctime") if key in found):
        return "has an impossible time"
    return None


def _in_header(block: bytes, member: TarInfo) -> str | None:
    kind = _KINDS.get(block[156:157])
    if kind is None:
        return None  # Refused for what it is.
    if any(not (_OCTAL.fullmatch(block[at]) or block[at][0] in _BINARY) for at in _NUMBERS):
        return "has an invalid number in its header"
    if block[345:500].strip(b"\0") and block[257:263] != _POSIX:
        return "has a beginning of its name where its format has none"
    if kind != "file" and member.size:
        return f"is a {kind} with content"
    name = member.pax_headers.get("path", member.name)
    # Before there was a kind for directories, a slash at the end made one.
    if kind != "directory" and (member.isdir() or name.endswith("/")):
        return f"is a {kind} with the name of a directory"
    return None
