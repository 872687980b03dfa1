"""Recovery time over the drills: where it goes, and when the objective will be missed; pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drkit.model import DrillNote

# Of fewer drills, or in a shorter time, a line would say more about chance than about growth.
_FEWEST = 3
_SHORTEST = timedelta(days=14)
# What lies further ahead is no more than "not soon".
_FURTHEST = timedelta(days=3650)


@dataclass(frozen=True)
class Trend:
    """Recovery time by full drills that passed: how it grows, and when it passes the objective.

    `missed_on` is None where it never will at this pace, or not within ten years; `drills` is how many it was
    taken from.
    """

    drills: int
    first_at: datetime
    last_at: datetime
    seconds_a_day: float
    expected_seconds: float
    target_seconds: float | None
    missed_on: datetime | None


def trend(drills: Sequence[DrillNote], target: timedelta | None, now: datetime) -> Trend | None:
    """A straight line (least squares) through the recovery times; None where there are too few."""
    proofs = sorted((d for d in drills if d.proves and d.recovery_time_seconds is not None), key=_when)
    if len(proofs) < _FEWEST or _when(proofs[-1]) - _when(proofs[0]) < _SHORTEST:
        return None
    start = _when(proofs[0])
    days = [(_when(drill) - start) / timedelta(days=1) for drill in proofs]
    seconds = [drill.recovery_time_seconds or 0.0 for drill in proofs]
    line = statistics.linear_regression(days, seconds)
    today = (now - start) / timedelta(days=1)
    expected = max(0.0, line.intercept + line.slope * today)
    goal = target.total_seconds() if target else None
    return Trend(
        drills=len(proofs),
        first_at=start,
        last_at=_when(proofs[-1]),
        seconds_a_day=round(line.slope, 3),
        expected_seconds=round(expected, 3),
        target_seconds=goal,
        missed_on=_missed_on(expected, line.slope, goal, now),
    )


def _missed_on(expected: float, slope: float, goal: float | None, now: datetime) -> datetime | None:
    if goal is None:
        return None
    if expected > goal:
        return now
    # What a clock cannot tell from nothing does not grow.
    if slope <= 1e-6:
        return None
    ahead = (goal - expected) / slope
    return now + timedelta(days=ahead) if ahead <= _FURTHEST / timedelta(days=1) else None


def _when(drill: DrillNote) -> datetime:
    return drill.finished_at
