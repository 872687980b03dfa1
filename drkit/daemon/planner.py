"""When jobs are due, and which of them is next: pure, from the schedule, the last runs and the time.

A run counts from when it began: after it the next time of its expression is due, however many have been
missed. So nothing piles up, whatever the clock does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from pydantic import AwareDatetime

from drkit.model import CLOCK_SKEW, cron
from drkit.model.job import JOBS, delay

# Of a job that ran every minute nobody wants to know more exactly how often it was missed.
MANY = 1000


@dataclass(frozen=True)
class LastRun:
    """When a job last began to run (or was first put on the schedule), and by which expression."""

    at: AwareDatetime
    expression: str

    def __post_init__(self) -> None:
        cron.parse(self.expression)


@dataclass(frozen=True)
class Due:
    """A job that should have begun at a time, and `times` times since its last run (MANY at most)."""

    job: str
    at: datetime
    times: int = 1


@dataclass(frozen=True)
class Plan:
    """A site's schedule: job -> cron expression, in a time zone; each job is put off by up to `jitter`."""

    site: str
    jobs: Mapping[str, str]
    zone: tzinfo = field(default=UTC)
    jitter: timedelta = timedelta()

    def delay(self, job: str) -> timedelta:
        """By how much a job is put off: always the same, whole seconds."""
        return delay(self.site, job, self.jitter)

    def following(self, job: str, last: LastRun) -> datetime:
        """When a job is due after its last run, by the expression of that run; in UTC."""
        return _following(last.expression, self.zone, self.delay(job), last.at.astimezone(UTC))

    def upcoming(self, job: str, now: datetime) -> datetime:
        """When a job is due next after a moment, in the zone of the schedule."""
        return self.following(job, LastRun(now, self.jobs[job])).astimezone(self.zone)


@lru_cache(maxsize=256)
def _following(expression: str, zone: tzinfo, delay: timedelta, after: datetime) -> datetime:
    return next(cron.times(expression, (after - delay).astimezone(zone))).astimezone(UTC) + delay


def overdue(plan: Plan, last: Mapping[str, LastRun], now: datetime) -> tuple[Due, ...]:
    """The jobs that should have begun by now, the most important first.

    A job without a last run is not due. Judged by the expression of the last run: a schedule that was
    changed since makes nothing overdue.
    """
    now = now.astimezone(UTC)
    found = []
    for job in sorted(set(plan.jobs) & set(last), key=importance):
        at = plan.following(job, last[job])
        if at <= now:
            found.append(Due(job, at, _times(plan, job, last[job].expression, at, now)))
    return tuple(found)


def _times(plan: Plan, job: str, expression: str, at: datetime, now: datetime) -> int:
    number = 1
    while number < MANY and (at := plan.following(job, LastRun(at, expression))) <= now:
        number += 1
    return number


def importance(job: str) -> int:
    """Smaller is more important."""
    return JOBS.index(job) if job in JOBS else len(JOBS)


def choose(due: tuple[Due, ...], ran: Collection[str]) -> Due | None:
    """What runs now: the most important of those that have not run in this round yet.

    A round begins anew when each job that is due has had its turn: jobs that are due all the time let the
    others go as well.
    """
    others = [each for each in due if each.job not in ran]
    return next(iter(others or due), None)


def settle(plan: Plan, known: Mapping[str, LastRun], now: datetime) -> dict[str, LastRun]:
    """The last runs by which a schedule is kept from now on, a job that is new counting from now.

    So does a job with a new expression, unless it is overdue by the old one; and one whose last run lies in
    the future, for a clock was wrong then, or is now.
    """
    kept = {}
    for job, expression in plan.jobs.items():
        last = known.get(job)
        if last is None or last.at > now + CLOCK_SKEW:
            last = LastRun(now, expression)
        changed = last.expression != expression and plan.following(job, last) > now
        kept[job] = LastRun(now, expression) if changed else last
    return kept


def describe(plan: Plan, now: datetime) -> tuple[str, ...]:
    """One line for each job: its expression, and when it runs next."""
    return tuple(
        f"{job}: {expression}, next at {plan.upcoming(job, now):%a %Y-%m-%d %H:%M %Z}"
        for job, expression in plan.jobs.items()
    )
