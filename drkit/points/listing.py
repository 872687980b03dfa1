"""What one look at a repository has found, from its snapshots and what was read of them; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from drkit.model import DrillNote, Point, PointManifest
from drkit.points import seals
from drkit.tools.restic.output import Snapshot


@dataclass(frozen=True)
class Listing:
    """What one listing of a repository has: the recovery points, newest first.

    `expired` are the points that the repository says some host's `expire` removed, `confirmed` those whose
    losses somebody has confirmed, `records` the snapshots that say so. `snapshots` are all of the site;
    `drills` are those whose reports are there, the oldest first, also of points that have gone.
    """

    points: tuple[Point, ...]
    expired: frozenset[str] = frozenset()
    records: tuple[Snapshot, ...] = ()
    confirmed: frozenset[str] = frozenset()
    snapshots: tuple[Snapshot, ...] = ()
    drills: tuple[DrillNote, ...] = ()

    @property
    def sealed(self) -> frozenset[str]:
        """The ids of the sealed points."""
        return frozenset(point.id for point in self.points if point.manifest)

    @cached_property
    def reports(self) -> dict[str, Snapshot]:
        """The snapshots of drills' reports by the drills' ids, the oldest first."""
        return of_drills(self.snapshots)

    @cached_property
    def unread(self) -> dict[str, Snapshot]:
        """Those of drills of which nothing else is known here: their reports cannot be read."""
        known = {note.id for note in self.drills}
        return {drill: snapshot for drill, snapshot in self.reports.items() if drill not in known}


def of_drills(snapshots: Iterable[Snapshot]) -> dict[str, Snapshot]:
    """The reports among snapshots, oldest first, by the ids of their drills.

    Of two of one drill it is the first that was signed, if one was: what comes later replaces nothing.
    """
    found: dict[str, Snapshot] = {}
    for snapshot in snapshots:
        if drill := seals.value(snapshot, seals.DRILL):
            known = found.setdefault(drill, snapshot)
            if not seals.value(known, seals.STATEMENT) and seals.value(snapshot, seals.STATEMENT):
                found[drill] = snapshot
    return found


@dataclass(frozen=True)
class Groups:
    """The snapshots of points: those that make each, the seals among them, and the reports of drills."""

    points: Mapping[str, Sequence[Snapshot]]
    sealing: tuple[Snapshot, ...]
    reports: tuple[Snapshot, ...]


def grouped(snapshots: Iterable[Snapshot], only: str = "") -> Groups:
    """Snapshots, oldest first, by the point whose they are; `only` those of points whose id begins so."""
    groups: dict[str, list[Snapshot]] = {}
    reports = []
    for snapshot in snapshots:
        point = seals.value(snapshot, seals.POINT)
        if not point or not point.startswith(only):
            continue
        if seals.value(snapshot, seals.DRILL):
            reports.append(snapshot)
        else:
            groups.setdefault(point, []).append(snapshot)
    sealing = tuple(s for group in groups.values() for s in group if seals.SEAL in s.tags)
    return Groups(groups, sealing, tuple(of_drills(reports).values()))


def listing(
    snapshots: Sequence[Snapshot],
    groups: Groups,
    manifests: Mapping[str, PointManifest | str],
    notes: Sequence[DrillNote],
    unread: int,
) -> Listing:
    """What there is; `unread` as in `seals.point_of`."""
    of_point: dict[str, list[DrillNote]] = {}
    for note in notes:
        of_point.setdefault(note.point, []).append(note)
    found = [
        seals.point_of(name, group, manifests, of_point.get(name, ()), unread=unread)
        for name, group in groups.points.items()
    ]
    expired, confirmed = _tagged(snapshots, seals.EXPIRED), _tagged(snapshots, seals.CONFIRMED)
    return Listing(
        tuple(sorted(found, key=lambda point: (point.taken_at, point.id), reverse=True)),
        frozenset(point for record in expired for point in seals.values(record, seals.EXPIRED)),
        (*expired, *confirmed),
        frozenset(point for record in confirmed for point in seals.values(record, seals.CONFIRMED)),
        tuple(snapshots),
        tuple(sorted(notes, key=lambda note: (note.finished_at, note.id))),
    )


def _tagged(snapshots: Iterable[Snapshot], prefix: str) -> tuple[Snapshot, ...]:
    """The snapshots that have a tag of that kind."""
    return tuple(snapshot for snapshot in snapshots if seals.value(snapshot, prefix))
