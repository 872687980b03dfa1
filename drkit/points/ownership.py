"""Whose a recovery point is, where several machines use one repository for one site: pure.

A machine is known by the name of its state directory, which every snapshot bears as a tag. The host's own
name is only told to people: containers change it, and two machines may share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from drkit.model import Point


@dataclass(frozen=True)
class TakenOver:
    """Another machine whose points, up to a moment, somebody has said to be this one's."""

    machine: str
    host: str
    until: datetime


@dataclass(frozen=True)
class Ownership:
    """What is this machine's: what it made, and what it has taken over.

    `makes_none`: its configuration names nothing to back up. Such a machine lists, drills, or expires for
    others, and goes by all points.
    """

    machine: str
    taken: tuple[TakenOver, ...] = ()
    makes_none: bool = False

    def owns(self, point: Point) -> bool:
        """Whether a point is this machine's."""
        if self.makes_none or point.machine in (None, self.machine):
            return True
        return any(each.machine == point.machine and point.taken_at <= each.until for each in self.taken)

    def own(self, points: Iterable[Point]) -> tuple[Point, ...]:
        """Those that are."""
        return tuple(point for point in points if self.owns(point))

    def counted(self, points: Sequence[Point]) -> tuple[Point, ...]:
        """What status goes by: its own, or all where it has made none yet."""
        own = self.own(points)
        return own if any(point.manifest for point in own) else tuple(points)


@dataclass(frozen=True)
class OtherHost:
    """Another machine that made sealed points of this site: how many, the newest of which when."""

    machine: str
    host: str
    points: int
    newest: datetime


def others(ownership: Ownership, points: Sequence[Point]) -> tuple[OtherHost, ...]:
    """The machines whose points are not this one's; that with the newest point first."""
    foreign: dict[str, list[Point]] = {}
    for point in points:
        if point.manifest is not None and point.machine is not None and not ownership.owns(point):
            foreign.setdefault(point.machine, []).append(point)
    found = []
    for machine, made in foreign.items():
        newest = max(made, key=lambda point: point.taken_at)
        found.append(OtherHost(machine, host_of(newest), len(made), newest.taken_at))
    return tuple(sorted(found, key=lambda other: other.newest, reverse=True))


def host_of(point: Point) -> str:
    """The name of the host that made a sealed point."""
    return point.manifest.host if point.manifest is not None else ""


def clone(ownership: Ownership, points: Sequence[Point]) -> OtherHost | None:
    """Another host that works with a copy of this machine's state directory.

    Its points bear the same tag. A host that was renamed, or a container that is made anew, has another name
    from some time on; where the names alternate, there are two.
    """
    own = sorted(
        (point for point in points if point.manifest is not None and point.machine == ownership.machine),
        key=lambda point: point.taken_at,
    )
    names = [name for name, _ in groupby(own, key=host_of)]
    if len(set(names)) == len(names):
        return None
    last = names[-1]
    strange = [point for point in own if host_of(point) != last]
    return OtherHost(ownership.machine, host_of(strange[-1]), len(strange), strange[-1].taken_at)
