"""The secrets bundle: a deterministic tar, packed and unpacked in memory.

Only regular files, directories and links inside the bundle are ever in it. A bundle is a few files; one that
says otherwise is refused, as is any member that would be written outside its root.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from drkit.errors import RestoreDamaged

Kind = Literal["file", "directory", "link"]

INDEX = "drkit-bundle.json"
LIMIT = 256 << 20


@dataclass(frozen=True)
class Member:
    """One file, directory or link; `path` is absolute, as on the machine that it came from."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    data: bytes = b""
    link: str = ""


def pack(members: Iterable[Member]) -> bytes:
    """A tar of the members, sorted, with numeric owners; the same members give the same bytes.

    Its first member, `drkit-bundle.json`, lists path and SHA-256 of every file.
    """
    ordered = sorted(members, key=lambda member: member.path)
    index = {m.path: hashlib.sha256(m.data).hexdigest() for m in ordered if m.kind == "file"}
    body = json.dumps({"schema": 1, "files": index}, indent=1).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, Member("/" + INDEX, "file", 0o600, 0, 0, 0, body))
        for member in ordered:
            _add(tar, member)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, member: Member) -> None:
    info = tarfile.TarInfo(member.path.lstrip("/"))
    info.mode, info.uid, info.gid = member.mode, member.uid, member.gid
    info.mtime = member.mtime_ns // 1_000_000_000
    fraction = member.mtime_ns % 1_000_000_000
    if fraction:
        info.pax_headers = {"mtime": f"{info.mtime}.{fraction:09d}"}
    match member.kind:
        case "file":
            info.size = len(member.data)
            tar.addfile(info, io.BytesIO(member.data))
        case "directory":
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        case "link":
            info.type, info.linkname = tarfile.SYMTYPE, member.link
            tar.addfile(info)


def unpack(data: bytes) -> tuple[Member, ...]:
    """The members of a bundle, its index checked and left out; raises RestoreDamaged, naming the culprit."""
    members: list[Member] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for info in tar:
                members.append(_member(tar, info, sum(len(m.data) for m in members)))
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        # tarfile lets the last two out when a header holds nonsense.
        raise _refused(f"it is no tar: {error}") from None
    _refuse_doubles(members)
    _refuse_links(members)
    return _checked(members)


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, so_far: int) -> Member:
    parts = PurePosixPath(info.name).parts
    if info.name.startswith("/") or ".." in parts or not parts or "\0" in info.name:
        raise _refused(f"member {info.name!r} leaves its root")
    if so_far + info.size > LIMIT:
        raise _refused(f"member {info.name!r} makes it larger than {LIMIT >> 20} MiB")
    whole, _, fraction = info.pax_headers.get("mtime", str(info.mtime)).partition(".")
    mtime_ns = int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
    path = "/" + "/".join(parts)
    owner = (info.mode & 0o7777, info.uid, info.gid, mtime_ns)
    if info.isreg():
        stream = tar.extractfile(info)
        content = stream.read() if stream else b""
        if len(content) != info.size:
            raise _refused(f"member {info.name!r} is cut short")
        return Member(path, "file", *owner, data=content)
    if info.isdir():
        return Member(path, "directory", *owner)
    if info.issym():
        return Member(path, "link", *owner, link=info.linkname)
    raise _refused(f"member {info.name!r} is neither file, directory nor symbolic link")


def _refuse_doubles(members: Sequence[Member]) -> None:
    seen: set[str] = set()
    for member in members:
        if member.path in seen:
            raise _refused(f"member {member.path!r} appears twice")
        seen.add(member.path)


def _refuse_links(members: Sequence[Member]) -> None:
    """Links lead to members of the bundle, and no member is written through a link."""
    paths = {member.path for member in members}
    links = {member.path for member in members if member.kind == "link"}
    for member in members:
        if member.kind == "link" and link_target(member.path, member.link) not in paths:
            raise _refused(f"link {member.path!r} leaves the bundle")
        if any(str(parent) in links for parent in PurePosixPath(member.path).parents):
            raise _refused(f"member {member.path!r} stands below a link")


def link_target(path: str, link: str) -> str:
    """Where a link at `path` leads, as an absolute path."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _checked(members: Sequence[Member]) -> tuple[Member, ...]:
    if not members or members[0].path != "/" + INDEX:
        raise _refused(f"it does not begin with {INDEX}")
    index = _read_index(members[0].data)
    found = {m.path: hashlib.sha256(m.data).hexdigest() for m in members[1:] if m.kind == "file"}
    for path in sorted(index.keys() | found.keys()):
        if index.get(path) != found.get(path):
            raise _refused(f"{path!r} is not what its index says")
    return tuple(members[1:])


def _read_index(data: bytes) -> dict[str, str]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused(f"its index cannot be read: {error}") from None
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, dict):
        raise _refused("its index names no files")
    return files


def _refused(why: str) -> RestoreDamaged:
    return RestoreDamaged(
        f"the secrets bundle is refused: {why}", hint="restore the secrets from another point"
    )
