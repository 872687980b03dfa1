"""Write metrics and tell people after an unattended command, and whenever somebody looks.

Also after an error that came before anything ran: a backup that never started must not be a silent one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from drkit import config
from drkit.actions.alarms import pings, plan, run
from drkit.actions.alarms import settings as alarm_settings
from drkit.actions.alarms.settings import AlarmSettings
from drkit.errors import DrkitError, Interrupted
from drkit.model import Attempt, Problem, Status, utc_now
from drkit.state import attempts
from drkit.state.directory import State

if TYPE_CHECKING:
    from drkit.actions.status.look import Look

log = logging.getLogger(__name__)

METRICS = "metrics"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its record, its error, what was known before its end, and what `--json` prints."""

    attempt: Attempt
    error: DrkitError | None
    before: tuple[Attempt, ...]
    envelope: Callable[[], Mapping[str, Any]]

    @property
    def said(self) -> str:
        """For the end of a message."""
        label = f"drkit {self.attempt.label}"
        if self.error is None:
            return f"{label} has just succeeded."
        return f"{label} has just failed: {self.error.message}\n{self.error.hint}".strip()


def tell(settings: config.Config, ended: Ended) -> None:
    """Tell whoever waits for this end, write metrics, and tell what is wrong with the site by now.

    Each is tried whether or not the others fail; raises DrkitError where metrics cannot be written.
    """
    alarms, attempt = alarm_settings.of(settings), ended.attempt
    alarm_settings.keep(settings)
    _tell_of_end(alarms, ended)
    known = attempts.read_with(State(settings.site.state).attempts, attempt)
    if isinstance(ended.error, Interrupted):
        # Nothing was learnt, and no process may start any more to look.
        _tell_of_runs(alarms, ended, known)
        return
    if not alarms.wants_status and not settings.publishes:
        return
    seen = _look(settings, known)
    try:
        passed = _of_runs([a for a in ended.before if a.id != attempt.id and a.lost])
        tell_of_site(settings, seen, passed=passed, after=ended.said)
    finally:
        _write_metrics(settings, seen)


def tell_without_settings(alarms: AlarmSettings, ended: Ended) -> None:
    """The same where the configuration cannot be used: of the runs alone. Never raises for a target."""
    _tell_of_end(alarms, ended)
    _tell_of_runs(alarms, ended, attempts.read_with(State(alarms.state).attempts, ended.attempt))


def _tell_of_end(alarms: AlarmSettings, ended: Ended) -> None:
    code = ended.error.exit_code if ended.error else 0
    attempt = ended.attempt

    def result() -> Mapping[str, Any]:
        times = {"began_at": attempt.began_at.isoformat(), "exit_code": code}
        return {**ended.envelope(), "site": alarms.site, **times}

    verb = attempt.verb
    run.record_pings(alarms, verb, pings.tell_of_end(alarms, verb, code, result))


def _tell_of_runs(alarms: AlarmSettings, ended: Ended, known: Sequence[Attempt]) -> None:
    run.tell(alarms, plan.Look(utc_now(), _of_runs(known), whole=False, after=ended.said))


def tell_of_schedule(settings: config.Config, what: str, body: str) -> None:
    """Tell of something about the schedule itself. Never raises."""
    run.announce(alarm_settings.of(settings), f"scheduler: {what}", body)


def tell_of_end(settings: config.Config, what: str, error: DrkitError) -> None:
    """Tell that something has ended that ought to go on. Never raises."""
    body = f"{error.message}\n{error.hint}".strip()
    run.announce(alarm_settings.of(settings), f"RED: the {what} has ended", body)


def tell_of_lost(settings: config.Config) -> None:
    """Tell of a verb that was killed, which cannot do so itself; raises DrkitError as `tell`."""
    check(settings)


def check(settings: config.Config) -> run.Notified:
    """Look at the site, write metrics, and tell what is new: overdue runs, objectives that are missed by now.

    Raises DrkitError where metrics cannot be written.
    """
    alarm_settings.keep(settings)
    seen = _look(settings, attempts.read(State(settings.site.state).attempts))
    try:
        return run.Notified(tuple(tell_of_site(settings, seen)))
    finally:
        _write_metrics(settings, seen)


def tell_of_site(
    settings: config.Config, seen: Look, *, passed: tuple[Problem, ...] = (), after: str = ""
) -> list[run.Sent]:
    """Tell each target what is new to it, and whoever waits for it whether the site is green."""
    alarms = alarm_settings.of(settings)
    status = seen.status
    found = plan.Look(status.at, status.findings, whole=seen.error is None, passed=passed, after=after)
    sent = run.tell(alarms, found, _limits(settings, status))
    lines = "\n".join(status.problems) or "green"
    return sent + run.record_pings(
        alarms, "status", pings.tell_of_status(alarms, green=status.green, said=lines)
    )


def _limits(settings: config.Config, status: Status) -> Iterator[datetime]:
    """When objectives that are met will be missed, if nothing runs."""
    goals, proof = settings.objectives, status.last_passed_drill
    if goals.rpo and status.newest_point_at:
        yield status.newest_point_at + goals.rpo
    if goals.drill and proof:
        yield proof.finished_at + goals.drill
    for objective in status.objectives:
        if objective.name == "reread" and objective.actual_seconds is not None:
            yield status.at + timedelta(seconds=objective.target_seconds - objective.actual_seconds)
    for each in status.repositories:
        rpo = settings.repository(each.name).rpo
        if rpo and each.newest_point_at:
            yield each.newest_point_at + rpo


def _write_metrics(settings: config.Config, seen: Look) -> None:
    if not settings.publishes:
        return
    from drkit.actions.status import publish

    directory = State(settings.site.state).attempts
    try:
        publish.publish(settings, seen)
    except DrkitError as error:
        attempts.note(directory, METRICS, error.message)
        raise
    attempts.note(directory, METRICS)


def _look(settings: config.Config, known: Sequence[Attempt]) -> Look:
    # Here, for mostly nobody is to be told: to load it takes longer than to write down how a run ended.
    from drkit.actions.status.look import look

    return look(settings, known)


def _of_runs(known: Sequence[Attempt]) -> tuple[Problem, ...]:
    from drkit.actions.status import of_runs

    return tuple(of_runs.problems(known, ()))
