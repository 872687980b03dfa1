"""When the jobs of the schedule are due; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from drkit.model import NextRun, cron
from drkit.model.clock_changes import local_zone


def next_runs(jobs: Mapping[str, str], now: datetime) -> tuple[NextRun, ...]:
    """The next run of each job, the first one first."""
    here = now.astimezone(local_zone())
    found = (NextRun(job, text, next(cron.times(text, here)).astimezone(UTC)) for job, text in jobs.items())
    return tuple(sorted(found, key=lambda run: run.at))


def days(jobs: Mapping[str, str], now: datetime, span: timedelta) -> dict[str, dict[str, int]]:
    """Job -> day (ISO, in the schedule's time zone) -> how often it is due on that day, from now on."""
    here, end = now.astimezone(local_zone()), (now + span).astimezone(UTC)
    found: dict[str, dict[str, int]] = {}
    for job, text in jobs.items():
        counted = found.setdefault(job, {})
        for at in cron.times(text, here):
            if at.astimezone(UTC) > end:
                break
            day = at.date().isoformat()
            counted[day] = counted.get(day, 0) + 1
    return found
