"""The audit trail of a command: that it began, and how it ended. What cannot be written down is logged."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from drkit import tidying
from drkit.errors import ConfigError, DrkitError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Audited:
    """A command that stands in the trail of this state directory."""

    root: Path
    verb: str
    run: str

    def begin(self) -> None:
        """Write down that it begins, with its arguments."""
        from drkit.state import trail

        self._write("began", arguments=trail.words(sys.argv[1:]))

    def end(self, error: DrkitError | None, result: object) -> None:
        """Write down how it ended."""
        point = getattr(result, "point", "") or (getattr(result, "id", "") if self.verb == "backup" else "")
        outcome = "failed" if error else "succeeded"
        # A signal that comes meanwhile interrupts what follows, where that is expected.
        with tidying.undisturbed():
            self._write(outcome, point=str(point), error=error.kind if error else "")

    def _write(self, outcome: str, **more: object) -> None:
        from drkit.state import trail
        from drkit.state.directory import State

        try:
            State(self.root).prepare()
            made = trail.entry(self.verb, outcome, self.run, State(self.root).machine, **more)
            trail.append(self.root, made)
        except (OSError, ConfigError) as error:
            log.warning("this cannot be written down in the audit trail: %s", error)


def begin(root: Path | None, verb: str) -> Audited | None:
    """Write down that it begins, with its arguments; None where no state directory is known."""
    from drkit.model import utc_now
    from drkit.state.directory import new_id

    if root is None:
        log.debug("no state directory is known to write the audit trail to")
        return None
    audited = Audited(root, verb, new_id(utc_now()))
    audited.begin()
    return audited
