"""The archive of a bucket's links: a tar with one small file a link, sorted by name.

`docker/registry/v2/repositories/<name>/_layers/sha256/<hex>/link` and the other kinds, relative to the
registry's root directory. What stands in it is written to disks and buckets, so anything else is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drkit.errors import RestoreDamaged, ToolFailed
from drkit.registry.storage import REPOSITORIES, in_upload, make_directory
from drkit.tools.tar import stream

FILE_NAME = "links.tar"
WHAT = "the archive of links"
_TOP = f"{REPOSITORIES}/"
# Names that are written to disks: no part of them leads up or is empty, and no control characters.
_PART = re.compile(r"(?!\.{1,2}$)[^/\x00-\x1f\x7f]+")
# sha256 and 64 digits are 71 bytes, sha512 has 135.
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Link:
    """A link: its name relative to the registry's root directory, what it holds, when it was written."""

    name: str
    held: bytes
    modified: float


def is_link(name: str) -> bool:
    """Whether a name relative to the registry's root directory is that of a link; uploads in flight are none.

    Only these are stored and only these come back.
    """
    if not name.startswith(_TOP) or not name.endswith("/link"):
        return False
    return not in_upload(name) and all(map(_PART.fullmatch, name.split("/")))


def read(pieces: Iterable[bytes]) -> Iterator[Link]:
    """The links of an archive, sorted by name.

    Raises RestoreDamaged, with the name, for a member that is no link of a registry: one outside the
    repositories or twice there, a symbolic link, a device, a file that is too long; and for a cut archive.
    """
    last = ""
    for member in stream.members(pieces, WHAT):
        _refuse(member, last)
        last = member.name
        yield Link(member.name, b"".join(member.pieces), member.modified)


def unpack(links: Iterable[Link], root: Path) -> int:
    """Write links below the registry's root directory; returns how many there were.

    Modes are those that a registry gives them: 0644, in directories of 0755. Raises ToolFailed.
    """
    count, made = 0, ""
    for link in links:
        path = f"{root}/{link.name}"
        directory = path.rpartition("/")[0]
        try:
            if directory != made:
                make_directory(root, link.name.rpartition("/")[0])
                made = directory
            _write(path, link)
        except OSError as error:
            raise ToolFailed(f"cannot write {path}: {error.strerror}") from None
        count += 1
    return count


def _write(path: str, link: Link) -> None:
    # What an interrupted restore left may be half written; it is never a link that leads elsewhere.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
        file.write(link.held)
        os.fchmod(file.fileno(), 0o644)
    os.utime(path, (link.modified, link.modified))


def _refuse(member: stream.Member, last: str) -> None:
    name = member.name
    if member.kind != "file":
        _bad(name, "is not a file")
    if not is_link(name):
        _bad(name, "is not a link of a registry")
    if sort_key(name) <= sort_key(last):
        _bad(name, "is there twice" if name == last else "is not where it should be in the order of names")
    if member.size > _LONGEST:
        _bad(name, f"has {member.size:,} bytes, too many for a link")


def sort_key(name: str) -> bytes:
    """Names sort by their bytes, as buckets list them."""
    return name.encode("utf-8", "surrogateescape")


def _bad(name: str, why: str) -> None:
    raise RestoreDamaged(f"{WHAT} cannot be trusted: {name!r} {why}", hint="restore from another point")
