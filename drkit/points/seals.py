"""Which snapshots make a recovery point, and whether a seal counts: pure, from tags and manifests.

Every snapshot of drkit's bears tags that say whose it is: the site, the point, the machine that stored it,
and what it is of that point.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from drkit.model import DrillNote, Point, PointManifest, PointStatus
from drkit.tools.restic.output import Snapshot

SEAL = "drkit:manifest"
POINT = "drkit:point:"
DRILL = "drkit:drill:"
# Of a drill's report that was signed: the hash by which the next one names it.
STATEMENT = "drkit:statement:"
# Of the same: a tag for each that it names.
AFTER = "drkit:after:"
SITE = "drkit:site:"
MACHINE = "drkit:machine:"
# Of the snapshot that says which points an `expire` has removed: a tag for each.
EXPIRED = "drkit:expired:"
# Of a snapshot that says that what a point has lost is meant.
CONFIRMED = "drkit:confirmed:"
# Of the snapshot that says what was read and right, and when; and a tag for each such that it has taken in.
LEDGER = "drkit:ledger"
MERGED = "drkit:merged:"
# Names of parts stand in paths, ids of snapshots in restic's arguments.
_NAME = re.compile(r"[\w@+.-]*[\w@+-][\w@+.-]*", re.ASCII)
_SNAPSHOT = re.compile(r"\w[^/:\0]*")
_SHOWN = 80
# Points of one site have mostly the same names and paths.
_MANY = 4096


@lru_cache(_MANY)
def is_name(text: str) -> bool:
    """Whether a text may be a part of a path: it leads nowhere."""
    return _NAME.fullmatch(text) is not None


def shown(text: str | None) -> str:
    """A name as it can stand in a sentence: one that is none in quotes, on one line."""
    return text if text and is_name(text) else ascii(text)[:_SHOWN]


def value(snapshot: Snapshot, prefix: str) -> str | None:
    """What a snapshot's tag of that kind says, None where it has none."""
    return next((tag.removeprefix(prefix) for tag in snapshot.tags if tag.startswith(prefix)), None)


def values(snapshot: Snapshot, prefix: str) -> tuple[str, ...]:
    """What all of a snapshot's tags of that kind say."""
    return tuple(tag.removeprefix(prefix) for tag in snapshot.tags if tag.startswith(prefix))


def sites(snapshots: Iterable[Snapshot]) -> frozenset[str]:
    """The sites that the snapshots are of."""
    return frozenset(site for snapshot in snapshots if (site := value(snapshot, SITE)))


def part_tag(kind: str, name: str) -> str:
    """The tag of a part's snapshot."""
    return f"drkit:part:{kind}:{name}"


def point_of(
    name: str,
    group: Sequence[Snapshot],
    manifests: Mapping[str, PointManifest | str],
    notes: Iterable[DrillNote],
    unread: int = 0,
) -> Point:
    """A point from its snapshots, oldest first; `manifests` says of each seal what it holds, or why not.

    `unread` is the number of snapshots of the repository that cannot be read: each may belong to any point.
    """
    ids = tuple(snapshot.id for snapshot in group)
    bare = Point(name, PointStatus.INCOMPLETE, group[0].time, ids, machine=value(group[0], MACHINE))
    seals = [s.id for s in group if SEAL in s.tags]
    if not seals:
        why = f"it has no seal, and {unread} snapshots of the repository cannot be read"
        return replace(bare, status=PointStatus.UNREADABLE, broken_seal=why) if unread else bare
    whole, broken = [], []
    for seal in seals:
        manifest = manifests[seal]
        if isinstance(manifest, str):
            broken.append(manifest)
            continue
        copied = copied_as(manifest, group)
        here = manifest.found_as(copied)
        if fault := _why_broken(here, seal, name, group):
            broken.append(fault)
        else:
            whole.append((here, seal, copied))
    unreadable = any(isinstance(manifests[each], str) for each in seals)
    if not whole:
        status = PointStatus.UNREADABLE if unreadable or unread else PointStatus.INCOMPLETE
        return replace(bare, status=status, broken_seal=broken[-1])
    manifest, seal, copied = max(whole, key=lambda found: found[0].revision)
    return replace(
        bare,
        status=PointStatus.SEALED,
        taken_at=manifest.consistent_at,
        manifest=manifest,
        manifest_snapshot=seal,
        # A seal that cannot be read may be the later one.
        superseded=() if unreadable or unread else tuple(other for other in seals if other != seal),
        drills=tuple(note for note in notes if note.point == name),
        copied_as=tuple(copied.items()),
    )


def copied_as(manifest: PointManifest, group: Sequence[Snapshot]) -> dict[str, str]:
    """The snapshots that a manifest names and that have other ids here -> those: copies by `restic copy`.

    restic keeps of what it copies the first id and the tags. It does so with what it rewrites as well: only
    the hash of everything in a snapshot says that it is the very same.
    """
    ids = {snapshot.id for snapshot in group}
    found = {}
    for part in (part for part in manifest.parts if part.snapshot not in ids):
        for each in group:
            same = each.original == part.snapshot and part.tree and each.tree == part.tree
            if same and part_tag(part.kind, part.name) in each.tags:
                found[part.snapshot] = each.id
    return found


def with_trees(manifest: PointManifest, snapshots: Iterable[Snapshot]) -> PointManifest:
    """A manifest that is not stored yet, with the hash of everything in each part's snapshot."""
    trees = {snapshot.id: snapshot.tree for snapshot in snapshots}
    parts = (replace(part, tree=trees.get(part.snapshot, "")) for part in manifest.parts)
    return replace(manifest, parts=tuple(parts))


def unsafe(manifest: PointManifest) -> str:
    """What in a manifest could lead out of where it belongs, as a path or a name; empty where nothing does.

    Whoever can write to the repository can write a manifest, and a restore runs as root.
    """
    names = [manifest.id, *(part.name for part in manifest.parts), *(d.name for d in manifest.databases)]
    paths = [part.path for part in manifest.parts] + [file.path for file in manifest.secret_files]
    if manifest.bucket is None and manifest.blobs_root is not None:
        paths.append(manifest.blobs_root)
    if manifest.configuration is not None:
        paths.append(manifest.configuration.path)
    odd = [name for name in names if not is_name(name)]
    odd += [p.snapshot for p in manifest.parts if p.snapshot and not _SNAPSHOT.fullmatch(p.snapshot)]
    odd += [path for path in paths if not _is_straight(path)]
    return repr(odd[0][:_SHOWN]) if odd else ""


@lru_cache(_MANY)
def _is_straight(path: str) -> bool:
    """Whether a path is absolute and goes nowhere but down."""
    return path.startswith("/") and posixpath.normpath(path) == path and "\0" not in path


def _why_broken(manifest: PointManifest, seal: str, name: str, group: Sequence[Snapshot]) -> str:
    """Why the manifest in a seal does not count: another point's, or a part is gone; empty where it does."""
    if manifest.id != name:
        return f"its manifest is that of {manifest.id}"
    if odd := unsafe(manifest):
        return f"its manifest is not to be trusted: {odd}"
    stored = {(snapshot.id, tag) for snapshot in group for tag in snapshot.tags}
    apart = [part for part in manifest.parts if part.snapshot != seal]
    gone = [p for p in apart if (p.snapshot, part_tag(p.kind, p.name)) not in stored]
    names = ", ".join(f"{part.kind} {part.name}" for part in gone)
    return f"a part of it is not in the repository any more: {names}" if gone else ""


def foreign_parts(manifest: PointManifest, point: str, snapshots: Iterable[Snapshot]) -> tuple[str, ...]:
    """What in a manifest does not belong to the point, a sentence each; none is good.

    restic names a snapshot by the hash of what is in it, tags included, so one that bears the tags of a point
    and a part was stored as that and as nothing else; and so was the seal of a point with what is in it. What
    is to be in a seal that is not stored yet cannot be of another point.
    """
    said = [] if manifest.id == point else [f"the manifest is that of {manifest.id}"]
    known = {name: s for s in snapshots for name in (s.id, s.original) if name}
    for part in (part for part in manifest.parts if part.snapshot):
        snapshot = known.get(part.snapshot)
        label = f"{part.kind} {part.name}"
        sealed = snapshot is not None and SEAL in snapshot.tags
        own = SEAL if sealed else part_tag(part.kind, part.name)
        wanted = (SITE + manifest.site, POINT + point, own)
        if snapshot is None:
            said.append(f"{label}: no snapshot {part.snapshot[:8]} of this point is in the repository")
        elif not set(wanted) <= set(snapshot.tags):
            said.append(f"{label}: snapshot {part.snapshot[:8]} was not stored as that")
        elif part.tree and snapshot.tree != part.tree:
            said.append(f"{label}: what is in snapshot {part.snapshot[:8]} is not what was stored")
        elif not sealed and snapshot.bytes not in (None, part.bytes):
            said.append(f"{label}: {snapshot.bytes:,} bytes were stored, not {part.bytes:,}")
    return tuple(said)
