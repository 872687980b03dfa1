"""The secrets bundle: a deterministic tar, packed and unpacked in memory.

Only regular files, directories and links inside the bundle are ever in it. A bundle is a few files; one that
says otherwise is refused whole, as is any member that would be written outside its root. What is refused here
is refused before anything is written.

Its first member, `drkit-bundle.json`, is the index:

    {"schema": 2,
     "files": {"/data/secret/keys/secretkey": "<SHA-256>", ...},
     "members": {"/data/secret/keys/secretkey":
                 {"kind": "file", "what": "secret key", "mode": "0600", "uid": 10000, "gid": 10000}, ...},
     "fingerprint_key": "<hex>"}

Schema 1 had `files` alone. A tar without an index, made by hand, is read as well: what is missing then is a
record of what the files were when they were packed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Literal

from drkit.errors import RestoreDamaged
from drkit.secrets import bundle_paths
from drkit.tools.tar import plain

Kind = Literal["file", "directory", "link"]

INDEX = "drkit-bundle.json"
LIMIT = 256 << 20
# The kernel's highest user id but one: the last means "leave it as it is" to chown.
_LAST_ID = (1 << 32) - 2
_BLOCK = 512
# Of a name that may be as long as the archive.
_SHOWN = 80


@dataclass(frozen=True)
class Member:
    """One file, directory or link; `path` is absolute, as on the machine that it came from.

    `what` says what a file is, such as `secret key` (see classify.py); empty where nobody looked.
    """

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    data: bytes = b""
    link: str = ""
    what: str = ""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read; `indexed` says whether its files were compared with an index of its own.

    `fingerprint_key` is the key of the fingerprints in the manifest (see fingerprints.py), where it has one.
    """

    members: tuple[Member, ...] = ()
    indexed: bool = True
    fingerprint_key: bytes = b""


def pack(members: Iterable[Member], fingerprint_key: bytes = b"") -> bytes:
    """A tar of the members, sorted, with numeric owners; the same members give the same bytes."""
    ordered = sorted(members, key=lambda member: member.path)
    body = json.dumps(_index(ordered, fingerprint_key), indent=1).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, Member("/" + INDEX, "file", 0o600, 0, 0, 0, body))
        for member in ordered:
            _add(tar, member)
    return buffer.getvalue()


def _index(members: Sequence[Member], fingerprint_key: bytes) -> dict[str, object]:
    return {
        "schema": 2,
        "files": {m.path: hashlib.sha256(m.data).hexdigest() for m in members if m.kind == "file"},
        "members": {m.path: _about(m) for m in members},
        "fingerprint_key": fingerprint_key.hex(),
    }


def _about(member: Member) -> dict[str, object]:
    return {
        "kind": member.kind,
        "what": member.what,
        "mode": f"{member.mode:04o}",
        "uid": member.uid,
        "gid": member.gid,
    }


def _add(tar: tarfile.TarFile, member: Member) -> None:
    info = tarfile.TarInfo(member.path.lstrip("/"))
    info.mode, info.uid, info.gid = member.mode, member.uid, member.gid
    info.mtime = member.mtime_ns // 1_000_000_000
    if member.mtime_ns % 1_000_000_000:
        info.pax_headers = {"mtime": f"{Decimal(member.mtime_ns) / 1_000_000_000:.9f}"}
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


def unpack(data: bytes, limit: int = LIMIT) -> Bundle:
    """The members of a bundle, its index checked and left out; raises RestoreDamaged, naming the culprit."""
    members: list[Member] = []
    total, rooted = 0, False
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for info in tar:
                _refuse_odd(data, info, total, limit)
                if info.isdir() and not members and not PurePosixPath(info.name).parts:
                    rooted = True  # `tar -C DIR -c .` begins with the directory itself
                    continue
                members.append(_member(tar, info))
                total += len(members[-1].data)
            if tar.pax_headers:
                raise _refused("it has attributes that are meant for all of its members")
            _refuse_what_follows(data[tar.offset :])
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        # tarfile lets these out when a header holds nonsense, or is followed by a thousand of its kind.
        raise _refused(f"it is not a tar: {error}") from None
    _refuse_doubles(members)
    _refuse_links(members)
    found = _checked(members)
    if rooted and found.indexed:
        # Whoever unpacks it would give the target directory, even `/`, its mode and owner.
        raise _refused("its root directory is one of its members")
    return found


def _refuse_odd(archive: bytes, info: tarfile.TarInfo, so_far: int, limit: int) -> None:
    """Refuse what cannot be held in memory, and what other readers of tars could take otherwise."""
    if so_far + info.size > limit:
        raise _refused(f"member {info.name[:_SHOWN]!r} makes it larger than {limit >> 20} MiB")
    if info.issparse():
        raise _refused(f"member {info.name[:_SHOWN]!r} is a sparse file")
    if (ambiguity := plain.ambiguity(archive, info)) is not None:
        raise _refused(f"member {info.name[:_SHOWN]!r} {ambiguity}")


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    parts = PurePosixPath(info.name).parts
    if info.name.startswith("/") or ".." in parts or not parts or "\0" in info.name:
        raise _refused(f"member {info.name!r} leaves its root")
    if bundle_paths.unprintable(info.name) or bundle_paths.unprintable(info.linkname):
        raise _refused(f"member {info.name!r} has a control character in its name")
    if bundle_paths.too_long(info.name) or bundle_paths.too_long(info.linkname):
        raise _refused(f"member {info.name[:_SHOWN]!r}... has a longer name than any file can have")
    path = "/" + "/".join(parts)
    owner = (info.mode & 0o7777, *_ids(info), _time(info))
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


def _ids(info: tarfile.TarInfo) -> tuple[int, int]:
    if not (0 <= info.uid <= _LAST_ID and 0 <= info.gid <= _LAST_ID):
        raise _refused(f"member {info.name!r} has an impossible owner")
    return info.uid, info.gid


def _time(info: tarfile.TarInfo) -> int:
    time = int(Decimal(info.pax_headers.get("mtime", str(info.mtime))) * 1_000_000_000)
    # os.utime takes nanoseconds in 64 bits; times before 1970 are negative.
    if abs(time) >= 1 << 63:
        raise _refused(f"member {info.name!r} has an impossible time")
    return time


def _refuse_what_follows(rest: bytes) -> None:
    """An archive ends in two blocks of zeros; tarfile takes a damaged header or a cut for its end as well."""
    if len(rest) < 2 * _BLOCK or rest.count(0) != len(rest):
        raise _refused("it is damaged, or cut short, before its end")


def _refuse_doubles(members: Sequence[Member]) -> None:
    seen: set[str] = set()
    for member in members:
        if member.path in seen:
            raise _refused(f"member {member.path!r} appears twice")
        seen.add(member.path)


def _refuse_links(members: Sequence[Member]) -> None:
    """Links lead to members of the bundle, and no member is written through a link or below a file."""
    kinds = {member.path: member.kind for member in members}
    links = {member.path: member.link for member in members if member.kind == "link"}
    for path, link in links.items():
        # By its words as well: one that takes a way round is none that drkit packs.
        ends = {bundle_paths.link_target(path, link), bundle_paths.leads_to(path, links)}
        if not link or not ends <= kinds.keys():
            raise _refused(f"link {path!r} leaves the bundle")
    for member in members:
        for parent in PurePosixPath(member.path).parents:
            kind = kinds.get(str(parent), "directory")
            if kind != "directory":
                raise _refused(f"member {member.path!r} stands below a {kind}")


def _checked(members: Sequence[Member]) -> Bundle:
    if not members:
        raise _refused("there is nothing in it")
    if members[0].path != "/" + INDEX:
        if any(member.path == "/" + INDEX for member in members):
            raise _refused(f"{INDEX} is not the first of its members")
        return Bundle(tuple(members), indexed=False)
    document = _read_index(members[0].data)
    files, about = document["files"], document.get("members")
    found = {m.path: hashlib.sha256(m.data).hexdigest() for m in members[1:] if m.kind == "file"}
    for path in sorted(files.keys() | found.keys()):
        if files.get(path) != found.get(path):
            raise _refused(f"{path!r} is not what its index says")
    key = str(document.get("fingerprint_key", ""))
    described = tuple(_described(member, about) for member in members[1:])
    if about is not None and len(about) != len(described):
        raise _refused("its index names members that are not there")
    try:
        return Bundle(described, fingerprint_key=bytes.fromhex(key))
    except ValueError:
        raise _refused("its index cannot be read: the key of fingerprints is no number") from None


def _described(member: Member, about: Mapping[str, Any] | None) -> Member:
    if about is None:
        return member
    said = about.get(member.path)
    what = said.get("what", "") if isinstance(said, dict) else ""
    described = replace(member, what=str(what))
    if said != _about(described):
        raise _refused(f"{member.path!r} is not what its index says")
    return described


def _read_index(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused(f"its index cannot be read: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("files"), dict):
        raise _refused("its index names no files")
    if not isinstance(document.get("members", {}), dict):
        raise _refused("its index names no members")
    return document


def _refused(why: str) -> RestoreDamaged:
    return RestoreDamaged(
        f"the secrets bundle is refused: {why}", hint="restore the secrets from another point"
    )
