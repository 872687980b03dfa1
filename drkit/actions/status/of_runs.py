"""What the attempts at verbs tell of a site: problems by kind; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from drkit import config
from drkit.model import Attempt, DrillNote, Outcome, Point, Problem, ProblemKind, RepositoryStatus, cron
from drkit.model.job import is_run_of

_TELLING = ("notify", "metrics")
# A run may wait for another, or for a machine that is off at night.
_GRACE = timedelta(hours=24)


def last_of_each(known: Sequence[Attempt]) -> tuple[Attempt, ...]:
    """The last attempt at each verb, in the order in which they began."""
    last = {attempt.key: attempt for attempt in known}
    return tuple(attempt for attempt in known if attempt is last[attempt.key])


def problems(
    known: Sequence[Attempt], drills: Sequence[DrillNote], copied: Sequence[RepositoryStatus] = ()
) -> Iterator[Problem]:
    """Attempts that ended badly or never, and that nothing since has made good.

    A drill with a report is told of by its report. `drills` are those of the primary repository.
    """
    reported = {drill.id for drill in drills} | {each.last_drill.id for each in copied if each.last_drill}
    for attempt in known:
        if attempt.good or attempt.running or _mended(attempt, known, drills):
            continue
        if attempt.lost:
            yield _lost(attempt)
        elif attempt.subject not in reported:
            yield _failed(attempt)


def overdue(
    schedule: config.Schedule,
    known: Sequence[Attempt],
    sealed: Sequence[Point],
    elsewhere: Mapping[str, Sequence[datetime]],
    now: datetime,
) -> Iterator[Problem]:
    """Jobs that are on the schedule, and that nothing runs; `elsewhere` has what the repositories tell of.

    Where nothing was ever attempted on this machine, another one keeps the schedule.
    """
    if not known or not sealed:
        return
    for job, expression in schedule.jobs.items():
        runs = [attempt.began_at for attempt in known if is_run_of(attempt, job)]
        runs += elsewhere.get(job, ())
        since = max(runs, default=min(point.taken_at for point in sealed))
        due = next(cron.times(expression, since.astimezone(schedule.zone)))
        if due + _GRACE < now:
            said = f"{job} is on the schedule, was due at {due:%Y-%m-%d %H:%M %Z} and has not run since"
            hint = "see that `drkit scheduler` runs, or that the timers of `drkit timers` are enabled"
            yield Problem(ProblemKind.NEVER_RAN, said, hint, subject=job)


def _mended(attempt: Attempt, known: Sequence[Attempt], drills: Sequence[DrillNote]) -> bool:
    """Whether a later success takes it back: one of this machine, or a drill elsewhere."""
    since = attempt.ended_at or attempt.began_at
    if any(a.good and a.ended_at and a.ended_at > since and attempt.mended_by(a) for a in known):
        return True
    if attempt.drilled_from:
        return False
    passed = {d.level for d in drills if d.outcome is Outcome.PASSED and d.finished_at > since}
    return attempt.verb == "drill" and bool({"full", attempt.scope} & passed)


def _lost(attempt: Attempt) -> Problem:
    said = f"the {attempt.label} that began at {attempt.began_at:%Y-%m-%d %H:%M} UTC never ended"
    return Problem(
        ProblemKind.LOST_RUN,
        f"{said}: it was killed, or the machine went down",
        f"run `drkit {attempt.command}` again",
        subject=attempt.key,
        cause=attempt.id,
    )


def _failed(attempt: Attempt) -> Problem:
    at = attempt.ended_at or attempt.began_at
    said = f"the last {attempt.label} ({at:%Y-%m-%d %H:%M} UTC) "
    if attempt.verb in _TELLING:
        # What cannot be written says so itself.
        what = (
            attempt.message
            if attempt.verb == "metrics"
            else f"failures cannot be reported: {attempt.message}"
        )
        return Problem(ProblemKind.NOT_TOLD, what, _hint(attempt), subject=attempt.key)
    if attempt.damage:
        return Problem(
            ProblemKind.DAMAGE, f"{said}found damage: {attempt.message}", _hint(attempt), subject=attempt.key
        )
    why = "was interrupted" if attempt.exit_code == 130 else f"failed: {attempt.message}"
    return Problem(ProblemKind.LAST_RUN, said + why, _hint(attempt), subject=attempt.key, cause=attempt.kind)


def _hint(attempt: Attempt) -> str:
    match attempt.verb:
        case "notify":
            return "see [notify]; the next run tries again"
        case "metrics":
            return "see [metrics] and [status]; the next run tries again"
        case "verify" if attempt.damage and attempt.thorough:
            return "when the damage is repaired, run `drkit verify --read-data-subset 100%`"
        case _:
            return f"fix the cause, and run `drkit {attempt.command}` again"
