"""When the jobs of the schedule are due; pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from drkit.config import Schedule
from drkit.model import NextRun, cron


def next_runs(schedule: Schedule, site: str, now: datetime) -> tuple[NextRun, ...]:
    """The next run of each job, the first one first."""
    found = (
        NextRun(job, text, next(_times(schedule, site, job, now)).astimezone(UTC))
        for job, text in schedule.jobs.items()
    )
    return tuple(sorted(found, key=lambda run: run.at))


def days(schedule: Schedule, site: str, now: datetime, span: timedelta) -> dict[str, dict[str, int]]:
    """Job -> day (ISO, in the schedule's time zone) -> how often it is due on that day, from now on."""
    end = (now + span).astimezone(UTC)
    found: dict[str, dict[str, int]] = {}
    for job in schedule.jobs:
        counted = found.setdefault(job, {})
        for at in _times(schedule, site, job, now):
            if at.astimezone(UTC) > end:
                break
            day = at.date().isoformat()
            counted[day] = counted.get(day, 0) + 1
    return found


def _times(schedule: Schedule, site: str, job: str, now: datetime) -> Iterator[datetime]:
    """When a job is due after a moment, in the schedule's time zone."""
    put_off, zone = schedule.delay(site, job), schedule.zone
    for at in cron.times(schedule.jobs[job], (now - put_off).astimezone(zone)):
        yield (at.astimezone(UTC) + put_off).astimezone(zone)
