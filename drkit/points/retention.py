"""Which recovery points to keep, and why: a plan, made before anything is removed.

The rules are restic's: `keep_last` counts points, the others keep the newest point of each of the newest n
periods that have one. They act on whole sealed points; what a rule says is never stronger than the guards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from drkit.config import Retention
from drkit.model import Collapse, Point, PointManifest, PointStatus

NO_RULE_SET = "no retention rule is set"
NEWEST_SEALED = "newest sealed point"
NEWEST_PROVEN = "newest point that a drill has proven"
NEWEST_UNDISPUTED = "newest proven point whose last full drill passed"
NEWEST_PROVEN_BEFORE = "newest point that a drill had proven before its secrets were encrypted again"
IN_THE_FUTURE = "its time lies in the future: is a clock wrong?"
BEFORE_COLLAPSE = "newest point before a loss in production that nobody has confirmed"
PROVEN_BEFORE_COLLAPSE = "newest proven point before a loss in production that nobody has confirmed"
NO_RULE_KEEPS_IT = "no rule keeps it"


@dataclass(frozen=True)
class Decision:
    """What becomes of one point; `reasons` is never empty."""

    point: Point
    keep: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Dated:
    """A sealed point with the moment that it is consistent at, in the zone that periods are counted in."""

    point: Point
    at: datetime


def plan(
    points: Sequence[Point],
    rules: Retention,
    now: datetime,
    *,
    zone: tzinfo = UTC,
    collapses: Sequence[Collapse] = (),
) -> tuple[Decision, ...]:
    """One decision for each sealed point, newest first; points that are not sealed are passed over.

    `zone` says where a day begins. A point that is dated after `now` is kept and counts for no rule:
    a wrong clock, or somebody who forges times, must not push good points out. `collapses` are those that
    nobody has confirmed: what is left of production must not push out what it was.
    """
    dated = [_Dated(p, m.consistent_at.astimezone(zone)) for p in points if (m := _manifest(p))]
    dated.sort(key=lambda d: (d.at, d.point.id), reverse=True)
    past = [d for d in dated if d.at <= now]
    reasons: dict[str, list[str]] = {d.point.id: [] for d in dated}
    if rules.keeps_all:
        for d in dated:
            reasons[d.point.id].append(NO_RULE_SET)
        return _decisions(dated, reasons)
    _apply_rules(past, rules, reasons)
    _apply_guards(past, reasons)
    for since in {loss.since_at for collapse in collapses for loss in collapse.losses}:
        _keep_before(since, dated, reasons)
    for d in dated:
        if d.at > now:
            reasons[d.point.id].append(IN_THE_FUTURE)
    return _decisions(dated, reasons)


def _manifest(point: Point) -> PointManifest | None:
    return point.manifest if point.status is PointStatus.SEALED else None


def _decisions(dated: Sequence[_Dated], reasons: dict[str, list[str]]) -> tuple[Decision, ...]:
    return tuple(
        Decision(d.point, bool(reasons[d.point.id]), tuple(reasons[d.point.id]) or (NO_RULE_KEEPS_IT,))
        for d in dated
    )


def _apply_rules(newest_first: Sequence[_Dated], rules: Retention, reasons: dict[str, list[str]]) -> None:
    for number, d in enumerate(newest_first[: rules.keep_last], 1):
        reasons[d.point.id].append(f"last {number} of {rules.keep_last}")
    periods: tuple[tuple[int, str, Callable[[datetime], str]], ...] = (
        # With the offset: the hour that a change of the clock repeats is two hours.
        (rules.keep_hourly, "hourly", lambda at: at.strftime("%Y-%m-%d %H:00%z")),
        (rules.keep_daily, "daily", lambda at: at.strftime("%Y-%m-%d")),
        (rules.keep_weekly, "weekly", lambda at: at.strftime("%G-W%V")),
        (rules.keep_monthly, "monthly", lambda at: at.strftime("%Y-%m")),
        (rules.keep_yearly, "yearly", lambda at: at.strftime("%Y")),
    )
    for count, name, period in periods:
        for d in _newest_of_each(newest_first, period)[:count]:
            reasons[d.point.id].append(f"{name} {period(d.at)}")


def _newest_of_each(newest_first: Sequence[_Dated], period: Callable[[datetime], str]) -> list[_Dated]:
    found: dict[str, _Dated] = {}
    for d in newest_first:
        found.setdefault(period(d.at), d)
    return list(found.values())


def _apply_guards(newest_first: Sequence[_Dated], reasons: dict[str, list[str]]) -> None:
    """No rule removes the newest sealed point, or the newest that a drill has proven.

    Where none is proven as it is now, what was proven before is the best there is: its database and images
    are those that were drilled. The newest that is proven may have come to no verdict since, for it is
    damaged, say: then the newest of which that is not so is kept as well.
    """
    proven = [d for d in newest_first if d.point.proven]
    before = [] if proven else [d for d in newest_first if d.point.was_proven]
    for guarded, why in (
        (newest_first, NEWEST_SEALED),
        (proven, NEWEST_PROVEN),
        (before, NEWEST_PROVEN_BEFORE),
    ):
        if guarded:
            reasons[guarded[0].point.id].append(why)
    undisputed = [d for d in proven if d.point.undisputed]
    if undisputed and undisputed[0] is not proven[0]:
        reasons[undisputed[0].point.id].append(NEWEST_UNDISPUTED)


def _keep_before(since: datetime, newest_first: Sequence[_Dated], reasons: dict[str, list[str]]) -> None:
    """Keep the newest point that is no younger, and the newest of them that a drill has proven."""
    before = [d for d in newest_first if d.at <= since]
    proven = [d for d in before if d.point.proven] or [d for d in before if d.point.was_proven]
    for guarded, why in ((before, BEFORE_COLLAPSE), (proven, PROVEN_BEFORE_COLLAPSE)):
        if guarded and why not in reasons[guarded[0].point.id]:
            reasons[guarded[0].point.id].append(why)
