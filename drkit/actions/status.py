"""`drkit status`: are the objectives met right now?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from drkit import config
from drkit.actions import secret_warnings
from drkit.catalog import SKEW, open_catalog
from drkit.errors import ObjectiveMissed
from drkit.model import DrillNote, Objective, Outcome, Point, PointStatus, utc_now


@dataclass(frozen=True)
class Status:
    """The objectives against what is, and everything that wants attention."""

    site: str
    objectives: tuple[Objective, ...]
    newest_point: str | None
    newest_point_at: datetime | None
    last_drill: DrillNote | None
    last_passed_drill: DrillNote | None
    points: int
    problems: tuple[str, ...]
    not_passed: tuple[DrillNote, ...] = ()


def status(settings: config.Config) -> Status:
    """The status; raises ObjectiveMissed, with it, if an objective is missed or the last drill failed."""
    found = judge(settings, open_catalog(settings).points(), utc_now())
    missed = [objective.name for objective in found.objectives if not objective.met]
    if missed:
        raise ObjectiveMissed(f"missed: {', '.join(missed)}", hint=_hint(found.objectives), result=found)
    if found.not_passed:
        raise ObjectiveMissed(
            f"every objective is met, but {_outcome(found.not_passed[0])}",
            hint="its report says why; mend that, and run `drkit drill` again",
            result=found,
        )
    return found


def _outcome(drill: DrillNote) -> str:
    if drill.outcome is Outcome.FAILED:
        return f"the last {drill.level} drill ({drill.id}) failed"
    return f"the last {drill.level} drill ({drill.id}) came to no verdict"


def _hint(objectives: Sequence[Objective]) -> str:
    """What to do about the first objective that is missed; what else is wrong stands among the problems."""
    first = next(objective for objective in objectives if not objective.met)
    if first.actual_seconds is None or first.name != "rto":
        return f"run `drkit {'backup' if first.name == 'rpo' else 'drill'}`; if it fails, it says why"
    return "the last drill's report has its stages: make the slow ones faster, or allow more in [objectives]"


def judge(settings: config.Config, points: Sequence[Point], now: datetime) -> Status:
    """The status at a moment; pure. What never happened is infinitely late, not fine.

    Nor does what is dated in the future count: an objective would be met until that day comes, whatever
    happens meanwhile.
    """
    sealed = [p for p in points if p.status is PointStatus.SEALED and p.taken_at <= now + SKEW]
    drills = sorted(
        (drill for point in sealed for drill in point.drills if drill.finished_at <= now + SKEW),
        key=lambda drill: drill.finished_at,
    )
    proofs = [drill for drill in drills if drill.proves]
    newest = sealed[0] if sealed else None
    proof = proofs[-1] if proofs else None
    last = drills[-1] if drills else None
    # A quick one that passes takes nothing back of what a full one has found.
    newest_of_each = [*drills[-1:], *[drill for drill in drills if drill.level == "full"][-1:]]
    not_passed = tuple(d for d in dict.fromkeys(newest_of_each) if d.outcome is not Outcome.PASSED)
    objectives = tuple(_objectives(settings, newest, proof, now))
    return Status(
        site=settings.site.name,
        objectives=objectives,
        newest_point=newest.id if newest else None,
        newest_point_at=newest.taken_at if newest else None,
        last_drill=last,
        last_passed_drill=proof,
        points=sum(point.status is PointStatus.SEALED for point in points),
        problems=(
            *_problems(objectives, points),
            *map(_outcome, not_passed),
            *_doubtful(points, now),
            *secret_warnings.of_points(sealed, now, settings.secrets.expiry_warning),
        ),
        not_passed=not_passed,
    )


def _objectives(
    settings: config.Config, newest: Point | None, proof: DrillNote | None, now: datetime
) -> list[Objective]:
    goals = settings.objectives
    actual = {
        "rpo": (now - newest.taken_at).total_seconds() if newest else None,
        "rto": proof.recovery_time_seconds if proof else None,
        "drill": (now - proof.finished_at).total_seconds() if proof else None,
    }
    found = []
    for name, target in (("rpo", goals.rpo), ("rto", goals.rto), ("drill", goals.drill)):
        if target is not None:
            value = actual[name]
            met = value is not None and value <= target.total_seconds()
            found.append(Objective(name, target.total_seconds(), value, met))
    return found


def _problems(objectives: Sequence[Objective], points: Sequence[Point]) -> list[str]:
    never = {
        "rpo": "there is no sealed recovery point: run `drkit backup`",
        "rto": "no full drill has passed, so nobody knows how long recovery takes: run `drkit drill`",
        "drill": "no full drill has ever passed: run `drkit drill`",
    }
    late = {
        "rpo": "the newest recovery point is too old: see why the last backup did not seal one",
        "rto": "the last drill took longer than the objective allows",
        "drill": "the last passed drill is too long ago: run `drkit drill`",
    }
    said = [(late if o.actual_seconds is not None else never)[o.name] for o in objectives if not o.met]
    incomplete = [p for p in points if p.status is PointStatus.INCOMPLETE and not p.broken_seal]
    if incomplete:
        said.append(
            f"{len(incomplete)} incomplete recovery points: a backup failed, was killed, or is under way"
        )
    return said


def _doubtful(points: Sequence[Point], now: datetime) -> Iterator[str]:
    """Points that cannot be counted on, and drills that cannot be dated."""
    yield from (f"point {p.id} was sealed, but {p.broken_seal}" for p in points if p.broken_seal)
    future = [p.id for p in points if p.status is PointStatus.SEALED and p.taken_at > now + SKEW]
    future += [f"drill {d.id}" for p in points for d in p.drills if d.finished_at > now + SKEW]
    if future:
        names = ", ".join(future[:3])
        yield f"dated in the future, and counted for nothing: {names}; is or was a clock wrong?"
