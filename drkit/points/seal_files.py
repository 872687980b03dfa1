"""The files of a seal, read at once: one restic for what would else take one each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drkit.errors import RestoreDamaged
from drkit.model import Part, PartKind, PointManifest
from drkit.points import history
from drkit.tools import json_lines
from drkit.tools.tar import stream

MANIFEST = "manifest.json"
CONFIGURATION = "drkit.toml"
# The last lines of the audit trail of the machine that took the point; no part of it, and nothing needs it.
TRAIL = "trail.jsonl"
# What has a line for each blob, tag or name, or for each thing that production does not serve.
_LISTS: frozenset[PartKind] = frozenset(("digests", "dangling", "inventory", "tags", "names"))
_LISTS_ENDING = ".jsonl"
# The bundle is the largest that is held in memory; it has 320 MiB at most.
_MOST = 1 << 29
_HINT = "use another point; run `drkit verify`"


@dataclass(frozen=True)
class SealFiles:
    """What a seal holds: what is small in memory, by name; lists in a directory, or nowhere."""

    manifest: PointManifest
    held: Mapping[str, bytes]
    lists: Path | None = None

    def data(self, kind: PartKind, name: str) -> bytes:
        """The bytes of a part that is no list; raises RestoreDamaged where there are none."""
        part = self.manifest.need(kind, name)
        found = self.held.get(part.path.lstrip("/"))
        if found is None:
            raise self._lacks(part)
        return found

    def path(self, kind: PartKind, name: str) -> Path:
        """The file of a list; raises RestoreDamaged where there is none."""
        part = self.manifest.need(kind, name)
        assert self.lists is not None
        file = self.lists / part.path.lstrip("/")
        if not file.is_file():
            raise self._lacks(part)
        return file

    def lines(self, kind: PartKind, name: str) -> Iterator[bytes]:
        """The bytes of a list, as a stream; raises as `path`."""
        return json_lines.pieces(self.path(kind, name))

    def write(self, part: Part, target: Path) -> None:
        """Put a part that is in the seal into another directory."""
        file = target / part.path.lstrip("/")
        if part.kind in _LISTS:
            file.hardlink_to(self.path(part.kind, part.name))
        else:
            file.write_bytes(self.data(part.kind, part.name))

    def _lacks(self, part: Part) -> RestoreDamaged:
        what = f"{part.kind} of {part.name}"
        return RestoreDamaged(f"the seal of point {self.manifest.id} has no {what}", hint="use another point")


def read(
    archive: Iterable[bytes], parse: Callable[[bytes], PointManifest], lists: Path | None = None
) -> SealFiles:
    """The files of a seal that comes as a tar; `parse` makes its manifest of the bytes.

    Lists are written into the directory `lists`, or passed over. Whoever can write to the repository can
    write a seal, and this runs as root: anything but files at its top is refused. Raises RestoreDamaged.
    """
    held: dict[str, bytes] = {}
    for member in stream.members(archive, "the seal"):
        if member.kind != "file" or "/" in member.name or member.name in ("", ".", ".."):
            raise RestoreDamaged(f"the seal cannot be trusted: {member.name!r} is in it", hint=_HINT)
        if not member.name.endswith(_LISTS_ENDING):
            held[member.name] = _whole(member)
        elif lists is not None and member.name != history.FILE_NAME:
            with (lists / member.name).open("xb") as file:
                file.writelines(member.pieces)
    return SealFiles(parse(held.get(MANIFEST, b"")), held, lists)


def _whole(member: stream.Member) -> bytes:
    if member.size > _MOST:
        raise RestoreDamaged(
            f"the seal cannot be trusted: {member.name} has {member.size:,} bytes", hint=_HINT
        )
    return b"".join(member.pieces)


def inside(manifest: PointManifest, seal: str) -> tuple[Part, ...]:
    """The parts that are in the seal."""
    return tuple(part for part in manifest.parts if part.snapshot == seal)
