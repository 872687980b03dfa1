"""What further repositories tell of a site: how old the newest point is there, and problems by kind; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drkit.actions.status import of_drills
from drkit.model import (
    CLOCK_SKEW,
    DrillNote,
    Objective,
    Outcome,
    Point,
    PointStatus,
    Problem,
    ProblemKind,
    RepositoryStatus,
)
from drkit.model.reread import Reread


@dataclass(frozen=True)
class Further:
    """What a further repository has; `problems` are those that were met when it was looked at.

    `points` is None where they could not be listed.
    """

    name: str
    rpo: timedelta | None
    points: tuple[Point, ...] | None
    problems: tuple[Problem, ...] = ()
    reread: tuple[Reread, ...] = ()


def judged(further: Further, now: datetime) -> RepositoryStatus:
    """A repository at a moment; what is dated in the future does not count."""
    sealed = _sealed(further, now)
    drills = of_drills.in_order(sealed, now)
    newest = sealed[0] if sealed else None
    age = (now - newest.taken_at).total_seconds() if newest else None
    objective = None
    if further.rpo is not None:
        target = further.rpo.total_seconds()
        objective = Objective("rpo", target, age, age is not None and age <= target)
    return RepositoryStatus(
        name=further.name,
        points=None if further.points is None else len(sealed),
        newest_point=newest.id if newest else None,
        newest_point_at=newest.taken_at if newest else None,
        rpo=objective,
        last_drill=drills[-1] if drills else None,
        last_passed_drill=next((drill for drill in reversed(drills) if drill.proves), None),
        last_full_drill=next((drill for drill in reversed(drills) if drill.level == "full"), None),
        last_quick_drill=next((drill for drill in reversed(drills) if drill.level == "quick"), None),
        reread=further.reread,
    )


def problems(further: Further, now: datetime) -> Iterator[Problem]:
    """What is wrong with it, and what its points and drills say."""
    yield from further.problems
    if further.points is None:
        return
    found, where = judged(further, now), f"in the repository {further.name}"
    hint = f"run `drkit copy --to {further.name}`; if it fails, it says why"
    if found.newest_point is None:
        red = found.rpo is not None
        yield Problem(
            ProblemKind.NOT_COPIED,
            f"there is no sealed recovery point {where}",
            hint,
            red=red,
            subject=found.name,
        )
    elif found.rpo is not None and not found.rpo.met:
        yield Problem(
            ProblemKind.NOT_COPIED, f"the newest recovery point {where} is too old", hint, subject=found.name
        )
    for point in further.points:
        if point.doubt:
            said = f"{where}: {point.doubt}"
            yield Problem(
                ProblemKind.BROKEN_SEAL,
                said,
                f"run `drkit verify --repository {further.name}`, then copy again",
                subject=f"{further.name}/{point.id}",
            )
    unsealed = [p for p in further.points if p.status is PointStatus.INCOMPLETE and not p.broken_seal]
    if unsealed:
        said = f"{len(unsealed)} recovery points are {where} in part: a copy was cut off, or is under way"
        yield Problem(
            ProblemKind.INCOMPLETE_POINTS,
            said,
            "the next copy goes on with it",
            red=False,
            subject=further.name,
        )
    yield from _drills(further.name, of_drills.in_order(_sealed(further, now), now))


def _sealed(further: Further, now: datetime) -> Sequence[Point]:
    points = further.points or ()
    return [p for p in points if p.status is PointStatus.SEALED and p.taken_at <= now + CLOCK_SKEW]


def _drills(name: str, drills: Sequence[DrillNote]) -> Iterator[Problem]:
    """The last drill, and the last full one, if they did not pass."""
    for drill in dict.fromkeys([*drills[-1:], *[d for d in drills if d.level == "full"][-1:]]):
        if drill.outcome is not Outcome.PASSED:
            hint = f"its report says why; fix the cause, and run `drkit drill --repository {name}` again"
            yield Problem(
                ProblemKind.DRILL,
                f"{of_drills.outcome(drill)}, of a point in {name}",
                hint,
                subject=f"{name}/{drill.level}",
                cause=drill.id,
            )
