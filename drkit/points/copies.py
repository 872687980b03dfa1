"""Which recovery points go to a further repository, and what of them is there; pure.

A seal names the snapshots of its parts, and restic keeps those names as the `original` of what it copies: so
a seal is copied as it is, and its parts are found by that, by their tags and by the hash of their content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drkit.config import Retention
from drkit.model import Point, PointManifest, PointStatus
from drkit.points import collapse, listing, retention, seals
from drkit.points.listing import Listing
from drkit.tools.restic.output import Snapshot

NOT_KEPT = "retention would not keep it there"
NO_HASHES = "it was taken before drkit recorded how a copy is known: take a new one"


@dataclass(frozen=True)
class Wanted:
    """A point that is to be copied, with the manifest of its seal."""

    point: Point
    manifest: PointManifest
    seal: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The snapshots of its parts, in the repository that it is copied from."""
        return tuple(part.snapshot for part in self.manifest.parts if part.snapshot != self.seal)

    @property
    def as_sealed(self) -> PointManifest:
        """The manifest with the ids that its seal names, also where the source is a copy itself."""
        return self.manifest.found_as({here: first for first, here in self.point.copied_as})


@dataclass(frozen=True)
class CopyPlan:
    """What is to be copied, newest first; how many points are there already; which are left out, and why.

    `records` are snapshots that say that a loss in production is meant.
    """

    points: tuple[Wanted, ...]
    there: int
    left_out: tuple[tuple[str, str], ...] = ()
    records: tuple[str, ...] = ()


def plan(
    source: Listing, target: Listing, rules: Retention, now: datetime, chosen: Point | None = None
) -> CopyPlan:
    """What of the source is to be copied: one point, or all that retention would keep in the target.

    A point whose seal was replaced since it was copied is copied again; so is one that lacks something there.
    """
    sealed = {point.id: point.manifest for point in target.points if point.manifest}
    every = [point for point in source.points if point.manifest and chosen in (None, point)]
    lacking = [point for point in every if _is_older(sealed.get(point.id), point.manifest)]
    left_out = []
    kept = None if chosen else _kept(source, target, lacking, rules, now)
    wanted = []
    for point in lacking:
        if kept is not None and point.id not in kept:
            left_out.append((point.id, NOT_KEPT))
        elif (each := _wanted(point)) is None:
            left_out.append((point.id, NO_HASHES))
        else:
            wanted.append(each)
    ids = {each.point.id for each in wanted} | sealed.keys()
    records = tuple(_records(source, target, ids))
    return CopyPlan(tuple(wanted), len(every) - len(lacking), tuple(left_out), records)


def missing_parts(wanted: Wanted, there: Sequence[Snapshot]) -> tuple[str, ...]:
    """The parts of a point that are not among its snapshots in the target, as kind and name."""
    found = wanted.as_sealed
    names, ids = seals.copied_as(found, there), {snapshot.id for snapshot in there}
    apart = (part for part in found.parts if part.snapshot != wanted.seal)
    return tuple(
        f"{part.kind} {part.name}" for part in apart if names.get(part.snapshot, part.snapshot) not in ids
    )


def lacking(wanted: Iterable[Wanted], there: Iterable[Snapshot]) -> dict[str, tuple[str, ...]]:
    """The points of which parts are not among the snapshots in the target, with those parts."""
    groups = listing.grouped(there).points
    found = ((each.point.id, missing_parts(each, groups.get(each.point.id, ()))) for each in wanted)
    return {point: parts for point, parts in found if parts}


def new_seals(
    points: Collection[str], before: Iterable[Snapshot], there: Iterable[Snapshot]
) -> tuple[str, ...]:
    """The seals of these points that were not in the target before."""
    known = {snapshot.id for snapshot in before}
    return tuple(
        s.id
        for s in there
        if seals.SEAL in s.tags and seals.value(s, seals.POINT) in points and s.id not in known
    )


def remains(source: Listing, target: Listing, machine: str) -> tuple[Point, ...]:
    """What a run that was cut off has left of points that are in the source no more.

    Of a machine that the source knows nothing of they may be on their way from another repository.
    """
    machines = {point.machine for point in source.points} | {machine}
    known = {point.id for point in source.points}
    return tuple(
        point
        for point in target.points
        if point.status is PointStatus.INCOMPLETE
        and not point.broken_seal
        and point.id not in known
        and point.machine in machines
    )


def _is_older(there: PointManifest | None, here: PointManifest | None) -> bool:
    """Whether a point is not sealed there, or by a seal that has been replaced since."""
    return here is not None and (there is None or there.revision < here.revision)


def _kept(
    source: Listing, target: Listing, lacking: Sequence[Point], rules: Retention, now: datetime
) -> frozenset[str]:
    """The points that retention would keep if all were there; what proves one here proves nothing there."""
    ids = {point.id for point in lacking}
    others = [point for point in target.points if point.id not in ids]
    every = [*(replace(point, drills=()) for point in lacking), *others]
    every.sort(key=lambda point: (point.taken_at, point.id), reverse=True)
    lost = collapse.unconfirmed(every, source.confirmed | target.confirmed, now)
    decisions = retention.plan(every, rules, now, collapses=lost)
    return frozenset(each.point.id for each in decisions if each.keep)


def _wanted(point: Point) -> Wanted | None:
    manifest, seal = point.manifest, point.manifest_snapshot
    assert manifest is not None
    assert seal is not None
    found = Wanted(point, manifest, seal)
    apart = [part for part in manifest.parts if part.snapshot != seal]
    return found if all(part.tree for part in apart) else None


def _records(source: Listing, target: Listing, points: Collection[str]) -> Iterator[str]:
    """The confirmations of losses that the target lacks."""
    for record in source.records:
        confirmed = set(seals.values(record, seals.CONFIRMED))
        if confirmed & set(points) and not confirmed <= target.confirmed:
            yield record.id
