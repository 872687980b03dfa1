"""The record of a command that somebody relies on, and the messages about how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drkit.errors import DrkitError, Failure, NoSuchPoint, UsageError
from drkit.model import STRUCTURE

if TYPE_CHECKING:
    from drkit.config import Config
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
    "keys rotate": Recorded("keys rotate"),
}


@dataclass(frozen=True)
class Trail:
    """The record of the command that runs; `tell` is how others learn of its end."""

    settings: Config
    recorder: Recorder
    tell: Callable[..., None]

    def begin(self) -> None:
        """Write down that it begins."""
        from drkit.state.directory import State

        State(self.settings.site.state).prepare()
        self.recorder.begin()

    def end(self, error: DrkitError | None, result: object) -> None:
        """Write down how it ended, and tell of it; that nobody can be told is logged and changes nothing.

        Raises Interrupted, and what is a bug.
        """
        from drkit.actions import outcome
        from drkit.state import attempts

        if isinstance(error, UsageError | NoSuchPoint):
            # Nothing was tried.
            self.recorder.discard()
            return
        subject = str(getattr(result, "id", ""))
        # Before this one supersedes it.
        known = attempts.read_with(self.recorder.directory, self.recorder.attempt)
        recovery: float | None = getattr(result, "recovery_time_seconds", None)
        if error is None:
            self.recorder.end(0, subject=subject, recovery_time=recovery)
        else:
            self.recorder.end(
                error.exit_code,
                kind=error.kind,
                message=error.message,
                subject=subject,
                recovery_time=recovery,
            )
        attempt = self.recorder.attempt
        try:
            self.tell(self.settings, attempt, error, failed_before=outcome.failed_before(known, attempt))
        except Failure as problem:
            log.warning("%s", problem.message)


def trail(settings: Config, recorded: Recorded) -> Trail:
    """The record of a command that is about to begin."""
    from drkit.actions import outcome
    from drkit.state import attempts
    from drkit.state.directory import State

    directory = State(settings.site.state).attempts
    recorder = attempts.recorder(directory, recorded.verb, recorded.scope, thorough=recorded.thorough)
    return Trail(settings, recorder, outcome.tell)
