"""For how long retention may keep a point that is taken now: pure, from the rules and the schedule."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from drkit.config import Retention, Schedule
from drkit.model import cron

_DAY = timedelta(days=1)
# Without a schedule nobody knows how often points are taken; daily is what most do.
_UNKNOWN_INTERVAL = _DAY
# A year has every day that a cron expression can name, but for the leap day.
_DAYS = 370


def lock_horizon(retention: Retention, schedule: Schedule, now: datetime) -> timedelta | None:
    """How long the rules may keep a point of `now`; None where they keep every point for ever.

    A rule that keeps one point for each of the newest n periods lets one go when n newer ones have come: n
    periods later, or n backups later where backups are rarer than periods, and one backup more.
    """
    if retention.keeps_all:
        return None
    interval = longest_interval(schedule.backup, now)
    periods = (
        (retention.keep_last, timedelta(0)),
        (retention.keep_hourly, timedelta(hours=1)),
        (retention.keep_daily, _DAY),
        (retention.keep_weekly, 7 * _DAY),
        (retention.keep_monthly, 31 * _DAY),
        (retention.keep_yearly, 366 * _DAY),
    )
    return max(count * max(period, interval) for count, period in periods) + interval


def longest_interval(expression: str | None, now: datetime) -> timedelta:
    """The longest time between two backups of a schedule, in the year from `now` on."""
    if expression is None:
        return _UNKNOWN_INTERVAL
    meaning = cron.parse(expression)
    times = [timedelta(hours=hour, minutes=minute) for hour in meaning.hours for minute in meaning.minutes]
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [day for number in range(_DAYS) if meaning.has_day(day := start + number * _DAY)]
    within = max((later - earlier for earlier, later in pairwise(times)), default=timedelta(0))
    # From the last time of one day to the first of the next that has any; at most a year, if it has one.
    between = max((later - earlier for earlier, later in pairwise(days)), default=_DAYS * _DAY)
    return max(within, between - times[-1] + times[0])
