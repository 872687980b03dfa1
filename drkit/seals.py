"""Which snapshots make a recovery point, and whether a seal counts: pure, from tags and manifests.

Every snapshot of drkit's bears tags that say whose it is: the site, the point, the machine that stored it,
and what it is of that point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from drkit.model import DrillNote, Manifest, Point, PointStatus
from drkit.tools.restic_output import Snapshot

SEAL = "drkit:manifest"
POINT = "drkit:point:"
DRILL = "drkit:drill:"
SITE = "drkit:site:"
MACHINE = "drkit:machine:"
_BUNDLE = "drkit:part:secrets:secrets"


def value(snapshot: Snapshot, prefix: str) -> str | None:
    """What a snapshot's tag of that kind says, None where it has none."""
    return next((tag.removeprefix(prefix) for tag in snapshot.tags if tag.startswith(prefix)), None)


def part_tag(kind: str, name: str) -> str:
    """The tag of a part's snapshot."""
    return f"drkit:part:{kind}:{name}"


def point_of(
    name: str,
    group: Sequence[Snapshot],
    manifests: Mapping[str, Manifest | str],
    notes: Iterable[DrillNote],
    machine: str,
) -> Point:
    """A point from its snapshots, oldest first; `manifests` says of each seal what it holds, or why not."""
    ids = tuple(snapshot.id for snapshot in group)
    bare = Point(name, PointStatus.INCOMPLETE, group[0].time, ids, machine=value(group[0], MACHINE))
    seals = [s.id for s in group if SEAL in s.tags]
    if not seals:
        return bare
    whole, broken = [], []
    for seal in seals:
        manifest = manifests[seal]
        fault = manifest if isinstance(manifest, str) else _why_broken(manifest, name, group)
        if isinstance(manifest, Manifest) and not fault:
            whole.append((manifest, seal))
        else:
            broken.append(fault)
    if not whole:
        return replace(bare, broken_seal=broken[-1])
    manifest, seal = max(whole, key=lambda found: found[0].revision)
    # A seal that cannot be read may be the later one, and name what nothing else names.
    unread = any(isinstance(manifests[each], str) for each in seals)
    return replace(
        bare,
        status=PointStatus.SEALED,
        taken_at=manifest.consistent_at,
        manifest=manifest,
        manifest_snapshot=seal,
        superseded=() if unread else _superseded(manifest, seal, group, machine),
        drills=tuple(note for note in notes if note.point == name),
    )


def _why_broken(manifest: Manifest, name: str, group: Sequence[Snapshot]) -> str:
    """Why a manifest does not count: another point's, or a part is gone; empty where it does."""
    if manifest.id != name:
        return f"its manifest is that of {manifest.id}"
    stored = {(snapshot.id, tag) for snapshot in group for tag in snapshot.tags}
    gone = [p for p in manifest.parts if (p.snapshot, part_tag(p.kind, p.name)) not in stored]
    names = ", ".join(f"{part.kind} {part.name}" for part in gone)
    return f"a part of it is not in the repository any more: {names}" if gone else ""


def _superseded(manifest: Manifest, seal: str, group: Sequence[Snapshot], machine: str) -> tuple[str, ...]:
    """What this seal took the place of, other seals first; and bundles of this machine that no seal names.

    Those are left by a killed rotation. One of another machine may be about to be sealed, and is not ours.
    """
    named = {seal, *(part.snapshot for part in manifest.parts)}
    left = [s for s in group if s.id not in named]
    replaced = [s for s in left if s.id in manifest.replaces or SEAL in s.tags]
    stray = [s for s in left if s not in replaced and _BUNDLE in s.tags and value(s, MACHINE) == machine]
    ordered = sorted([*replaced, *stray], key=lambda s: SEAL not in s.tags)
    return tuple(s.id for s in ordered)


def foreign_parts(manifest: Manifest, point: str, snapshots: Iterable[Snapshot]) -> tuple[str, ...]:
    """What in a manifest does not belong to the point, a sentence each; none is good.

    restic names a snapshot by the hash of what is in it, tags included, so one that bears the tags of a point
    and a part was stored as that and as nothing else.
    """
    said = [] if manifest.id == point else [f"the manifest is that of {manifest.id}"]
    known = {name: s for s in snapshots for name in (s.id, s.original) if name}
    for part in manifest.parts:
        snapshot = known.get(part.snapshot)
        label = f"{part.kind} {part.name}"
        stored = part.bytes if part.snapshot_bytes is None else part.snapshot_bytes
        wanted = (SITE + manifest.site, POINT + point, part_tag(part.kind, part.name))
        if snapshot is None:
            said.append(f"{label}: no snapshot {part.snapshot[:8]} of this point is in the repository")
        elif not set(wanted) <= set(snapshot.tags):
            said.append(f"{label}: snapshot {part.snapshot[:8]} was not stored as that")
        elif snapshot.bytes not in (None, stored):
            said.append(f"{label}: {snapshot.bytes:,} bytes were stored, not {stored:,}")
    return tuple(said)
