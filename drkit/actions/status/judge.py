"""What is known of a site against what must be true; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drkit import config
from drkit.actions.status import of_drills, of_points, of_runs, of_vault
from drkit.model import CLOCK_SKEW, Attempt, DrillNote, Objective, ObjectiveName, Point, PointStatus, Problem


@dataclass(frozen=True)
class Status:
    """The objectives against what is, and everything that wants attention.

    `problems` are the findings' sentences; `green` is false where an objective is missed or a finding red.
    `runs` are the last attempts at each verb.
    """

    site: str
    green: bool
    objectives: tuple[Objective, ...]
    newest_point: str | None
    newest_point_at: datetime | None
    last_drill: DrillNote | None
    last_passed_drill: DrillNote | None
    points: int
    problems: tuple[str, ...]
    findings: tuple[Problem, ...]
    runs: tuple[Attempt, ...] = ()


def judge(
    settings: config.Config,
    points: Sequence[Point],
    now: datetime,
    known: Sequence[Attempt] = (),
    here: Sequence[Problem] = (),
) -> Status:
    """The status at a moment, with what is wrong `here`, on this machine or in the vault.

    What never happened is infinitely late, not fine.

    Nor does what is dated in the future count: an objective would be met until that day comes, whatever
    happens meanwhile.
    """
    sealed = [p for p in points if p.status is PointStatus.SEALED and p.taken_at <= now + CLOCK_SKEW]
    drills = of_drills.in_order(sealed, now)
    proof = next((drill for drill in reversed(drills) if drill.proves), None)
    newest = sealed[0] if sealed else None
    objectives = tuple(_objectives(settings, newest, proof, now))
    findings = (
        # First, for they may be the cause of what follows.
        *here,
        *of_points.unmet(objectives, newest),
        *of_points.problems(settings, points, sealed, now),
        *of_drills.problems(sealed, drills),
        *of_runs.problems(known, drills),
        *of_runs.overdue(settings.schedule.jobs, known, sealed, drills, now),
        *of_vault.ended_locks(newest, now),
        *of_vault.moved(settings.vault, newest),
    )
    return Status(
        site=settings.site.name,
        green=all(o.met for o in objectives) and not any(found.red for found in findings),
        objectives=objectives,
        newest_point=newest.id if newest else None,
        newest_point_at=newest.taken_at if newest else None,
        last_drill=drills[-1] if drills else None,
        last_passed_drill=proof,
        points=sum(point.status is PointStatus.SEALED for point in points),
        problems=tuple(found.message for found in findings),
        findings=findings,
        runs=of_runs.last_of_each(known),
    )


def _objectives(
    settings: config.Config, newest: Point | None, proof: DrillNote | None, now: datetime
) -> list[Objective]:
    goals = settings.objectives
    actual: dict[ObjectiveName, float | None] = {
        "rpo": (now - newest.taken_at).total_seconds() if newest else None,
        "rto": proof.recovery_time_seconds if proof else None,
        "drill": (now - proof.finished_at).total_seconds() if proof else None,
    }
    targets: dict[ObjectiveName, timedelta | None] = {
        "rpo": goals.rpo,
        "rto": goals.rto,
        "drill": goals.drill,
    }
    found = []
    for name, target in targets.items():
        if target is not None:
            value = actual[name]
            met = value is not None and value <= target.total_seconds()
            found.append(Objective(name, target.total_seconds(), value, met))
    return found
