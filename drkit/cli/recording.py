"""The record of a command that somebody relies on, and the messages about how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from drkit import logs
from drkit.errors import DrkitError, Failure, NoSuchPoint, UsageError
from drkit.model import STRUCTURE

if TYPE_CHECKING:
    from drkit.actions.alarms.pings import Started
    from drkit.actions.outcome import Ended
    from drkit.config import Config
    from drkit.model import Attempt
    from drkit.state.attempts import Recorder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorded:
    """A command whose outcome `status` goes by; `scope` and `thorough` as in Attempt."""

    verb: str
    scope: str = ""
    thorough: int = STRUCTURE


# What is recorded of a verb where only its name is known.
VERBS = {
    "backup": Recorded("backup"),
    "drill": Recorded("drill", "full"),
    "verify": Recorded("verify"),
    "copy": Recorded("copy"),
    "expire": Recorded("expire"),
    "runbook": Recorded("runbook"),
    "keys rotate": Recorded("keys rotate"),
}


# The same of the jobs on the schedule.
JOBS = {**VERBS, "drill_quick": Recorded("drill", "quick")}


@dataclass
class Trail:
    """The record of the command that runs; `tell` is how others learn of its end."""

    settings: Config
    recorder: Recorder
    tell: Callable[[Config, Ended], None]
    _started: Started | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Write down that it begins, and tell whoever waits for that."""
        from drkit.actions.alarms import pings
        from drkit.actions.alarms import settings as alarm_settings
        from drkit.state.directory import State

        State(self.settings.site.state).prepare()
        logs.note_fields(drkit__run=self.recorder.attempt.id)
        self.recorder.begin()
        self._started = pings.Started(alarm_settings.of(self.settings), self.recorder.attempt.verb)

    def end(self, error: DrkitError | None, result: object) -> None:
        """Write down how it ended, and tell of it; that nobody can be told is logged and changes nothing.

        Raises Interrupted, and what is a bug.
        """
        from drkit.state import attempts

        if isinstance(error, UsageError | NoSuchPoint):
            # Nothing was tried.
            self.recorder.discard()
            self._end_ping(error)
            return
        # Before this one supersedes it.
        known = attempts.read_with(self.recorder.directory, self.recorder.attempt)
        ended = _end(self.recorder, error, result, known)
        if self._started:
            self._started.wait()
        try:
            self.tell(self.settings, ended)
        except Failure as problem:
            log.warning("%s", problem.message)

    def _end_ping(self, error: DrkitError) -> None:
        """Whoever was told that it starts would wait for its end."""
        from drkit.actions.alarms import pings
        from drkit.actions.alarms import settings as alarm_settings

        if self._started:
            self._started.wait()
            verb = self.recorder.attempt.verb
            pings.ping_end(alarm_settings.of(self.settings), verb, error.exit_code)


def trail(settings: Config, recorded: Recorded) -> Trail:
    """The record of a command that is about to begin."""
    from drkit.actions import outcome
    from drkit.state import attempts
    from drkit.state.directory import State

    directory = State(settings.site.state).attempts
    recorder = attempts.recorder(directory, recorded.verb, recorded.scope, thorough=recorded.thorough)
    return Trail(settings, recorder, outcome.tell)


def tell_without_settings(config_path: Path, recorded: Recorded, error: DrkitError) -> None:
    """Write down and tell that a command could not begin, because the configuration is broken.

    By what of it can still be read, or by what was good last; that neither is there is logged.
    """
    from drkit.actions import outcome
    from drkit.actions.alarms import settings as alarm_settings
    from drkit.state import attempts
    from drkit.state.directory import State

    if isinstance(error, UsageError | NoSuchPoint):
        return
    alarms = alarm_settings.salvaged(config_path)
    if alarms is None:
        log.warning("nobody can be told: whom to tell stands in the configuration")
        return
    directory = State(alarms.state).attempts
    recorder = attempts.recorder(directory, recorded.verb, recorded.scope, thorough=recorded.thorough)
    known = attempts.read_with(directory, recorder.attempt)
    outcome.tell_without_settings(alarms, _end(recorder, error, None, known))


def _end(recorder: Recorder, error: DrkitError | None, result: object, known: tuple[Attempt, ...]) -> Ended:
    from drkit.actions.outcome import Ended
    from drkit.reports.jsonable import envelope

    subject = str(getattr(result, "id", ""))
    recovery: float | None = getattr(result, "recovery_time_seconds", None)
    code, kind, said = (error.exit_code, error.kind, error.message) if error else (0, "", "")
    recorder.end(code, kind=kind, message=said, subject=subject, recovery_time=recovery)
    attempt = recorder.attempt
    return Ended(attempt, error, known, lambda: envelope(attempt.verb, result, error))
