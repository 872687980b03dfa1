"""Times of day that a day does not have, or has twice, where the clock is changed.

systemd leaves such a day out (seen with 252: 47 hours between two runs at 02:30); cron and drkit's scheduler
run as soon as the clock has been set forward. An hour that comes twice is run once by all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from tzlocal import get_localzone

from drkit.model import cron

_HORIZON = timedelta(days=400)
_STEP = timedelta(hours=3)
_MINUTE = timedelta(minutes=1)
# Named where a schedule is warned of; in no time zone is it touched any more.
GOOD_TIME = "04:17"


@dataclass(frozen=True)
class Change:
    """A change of the clock: from `first` until before `end` clock faces are left out, or come `twice`."""

    first: datetime
    end: datetime
    twice: bool


@dataclass(frozen=True)
class OddTime:
    """A time on a schedule that its day does not have, or has `twice`."""

    at: datetime
    twice: bool


def local_zone() -> tzinfo:
    """The machine's time zone, with its changes of the clock."""
    zone: tzinfo = get_localzone()
    return zone


def changes(zone: tzinfo, after: datetime, horizon: timedelta = _HORIZON) -> Iterator[Change]:
    """The changes of the clock in a time zone within a time after a moment."""
    at = after.astimezone(UTC).replace(second=0, microsecond=0)
    end, offset = at + horizon, _offset(zone, at)
    while at < end:
        later = _offset(zone, at + _STEP)
        if later != offset:
            yield _change(zone, at, at + _STEP)
        at, offset = at + _STEP, later


def _change(zone: tzinfo, before: datetime, after: datetime) -> Change:
    """The change between two moments, to the minute."""
    old, new = _offset(zone, before), _offset(zone, after)
    while after - before > _MINUTE:
        middle = before + (after - before) // _MINUTE // 2 * _MINUTE
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    faces = sorted(((after + old).replace(tzinfo=None), (after + new).replace(tzinfo=None)))
    return Change(faces[0], faces[1], twice=new < old)


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def odd_times(expression: str, zone: tzinfo, after: datetime) -> tuple[OddTime, ...]:
    """The first such time of each change that an expression meets within the next year or so.

    None for an expression that runs in every hour, which loses nothing. Raises ValueError.
    """
    schedule = cron.parse(expression)
    if len(schedule.hours) == 24:
        return ()
    found = []
    for change in changes(zone, after):
        at = next(_times(schedule, change), None)
        if at is not None:
            found.append(OddTime(at, change.twice))
    return tuple(found)


def _times(schedule: cron.Cron, change: Change) -> Iterator[datetime]:
    at = change.first
    while at < change.end:
        if at.hour in schedule.hours and at.minute in schedule.minutes and schedule.has_day(at.date()):
            yield at
        at += _MINUTE


def warnings(jobs: Mapping[str, str], zone: tzinfo, after: datetime) -> Iterator[str]:
    """A sentence for each verb whose time some day does not have, or has twice."""
    for verb, expression in jobs.items():
        found = odd_times(expression, zone, after)
        if not found:
            continue
        said = " and ".join(
            f"{odd.at:%H:%M} {'comes twice' if odd.twice else 'does not exist'} on {odd.at:%Y-%m-%d}"
            for odd in found[:2]
        )
        yield f"{verb} at {expression}: {said} in {zone}; better is a time such as {GOOD_TIME}"
