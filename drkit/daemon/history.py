"""When each job ran last, as far as anything tells: what the scheduler remembers, the records of attempts,
and, where both are lost, the repositories.

So a scheduler that starts on an empty state directory, or after weeks of timers, makes up for what was
missed, and for nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from drkit.daemon.planner import LastRun, Plan
from drkit.errors import Failure
from drkit.model import Attempt
from drkit.model.job import has_run, is_run_of
from drkit.state import attempts
from drkit.state.directory import State

if TYPE_CHECKING:
    from drkit import config

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What repositories tell: when each job has run, and since when the site has been backed up."""

    runs: Mapping[str, datetime]
    since: datetime | None


def merged(
    plan: Plan, remembered: Mapping[str, LastRun] | None, known: Sequence[Attempt], seen: Seen | None = None
) -> dict[str, LastRun]:
    """The last run of each job: pure.

    Where nothing was `remembered`, a job of which nothing tells has not run since the first backup. Where
    something was, it is new on the schedule.
    """
    found = {}
    for job, expression in plan.jobs.items():
        last = (remembered or {}).get(job)
        times = [attempt.began_at for attempt in known if is_run_of(attempt, job) and has_run(attempt)]
        if last is None and seen is not None:
            times += [at for at in (seen.runs.get(job),) if at is not None]
        if last is not None:
            found[job] = LastRun(max([last.at, *times]), last.expression)
        elif times:
            found[job] = LastRun(max(times), expression)
        elif seen is not None and seen.since is not None:
            found[job] = LastRun(seen.since, expression)
    return found


def last_runs(
    settings: config.Config, plan: Plan, remembered: Mapping[str, LastRun] | None
) -> dict[str, LastRun]:
    """The last run of each job; what cannot be read is logged, and then the rest tells."""
    try:
        known = attempts.read(State(settings.site.state).attempts)
    except OSError as error:
        log.warning("cannot read how earlier runs ended: %s", error.strerror)
        known = ()
    seen = None if remembered is not None else look(settings)
    return merged(plan, remembered, known, seen)


def look(settings: config.Config) -> Seen:
    """What the repositories tell."""
    # Heavy, and seldom needed.
    from drkit.points.catalog import open_catalog

    taken: list[datetime] = []
    newest_there: list[datetime] = []
    drills: list[tuple[datetime, str]] = []
    for number, each in enumerate(settings.repositories):
        try:
            points = open_catalog(settings, each.name).impatient().points()
        except Failure as error:
            log.warning(
                "cannot tell from the repository %s when anything ran last: %s", each.name, error.message
            )
            continue
        sealed = [point.taken_at for point in points if point.manifest]
        drills += [(drill.finished_at, drill.level) for point in points for drill in point.drills]
        if number == 0:
            taken = sealed
        elif sealed:
            newest_there.append(max(sealed))
    runs = _latest(
        ("backup", taken),
        # Copied later than it was taken; and to all of them, or copying is due.
        ("copy", [min(newest_there)] if len(newest_there) == len(settings.repositories) - 1 > 0 else []),
        ("drill", [at for at, level in drills if level == "full"]),
        ("drill_quick", [at for at, _ in drills]),
    )
    return Seen(runs, min(taken, default=None))


def _latest(*found: tuple[str, Iterable[datetime]]) -> dict[str, datetime]:
    return {job: max(times) for job, times in ((job, list(times)) for job, times in found) if times}
