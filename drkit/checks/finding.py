"""What a check found, and how checks and controls are run and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drkit.errors import Failure, failure_of
from drkit.model import CheckKind, CheckResult, ControlResult, Outcome, Reason, Unplanted
from drkit.tools.tally import first_few

__all__ = [
    "Check",
    "Control",
    "Finding",
    "Unplanted",
    "failed",
    "not_provable",
    "passed",
    "undecided",
    "verdict",
]


@dataclass(frozen=True)
class Finding:
    """The outcome of an assertion, and a sentence with numbers that a person can recognise."""

    outcome: Outcome
    detail: str
    reason: Reason | None = None


def passed(detail: str, reason: Reason | None = None) -> Finding:
    """It holds."""
    return Finding(Outcome.PASSED, detail, reason)


def failed(detail: str, reason: Reason | None = None) -> Finding:
    """It does not hold."""
    return Finding(Outcome.FAILED, detail, reason)


def undecided(detail: str) -> Finding:
    """Nobody can tell; not a pass."""
    return Finding(Outcome.ERROR, detail)


def not_provable(detail: str) -> Finding:
    """There is nothing to try it on; not a pass."""
    return Finding(Outcome.NOT_PROVABLE, detail)


def verdict(faults: Sequence[str], good: str) -> Finding:
    """Passed with `good` where there are no faults, else failed with the first few of them."""
    return failed(first_few(faults, "; ")) if faults else passed(good)


@dataclass(frozen=True)
class Check:
    """An assertion; `subject` as in CheckResult."""

    kind: CheckKind
    look: Callable[[], Finding]
    subject: str = ""

    def run(self) -> CheckResult:
        """Run it; what stops it from coming to a verdict is an error, never a pass."""
        finding, seconds = _timed(self._look)
        return CheckResult(self.kind, finding.outcome, finding.detail, seconds, self.subject, finding.reason)

    def _look(self) -> Finding:
        try:
            return self.look()
        except OSError as error:
            # A full disk costs this check its verdict, and no other.
            raise failure_of(error) from None


@dataclass(frozen=True)
class Control:
    """A named fault; `look` plants it and returns what the check says of it, which must be a failure."""

    name: str
    planted: str
    look: Callable[[], Finding]

    def run(self) -> ControlResult:
        """Plant the fault; only a failed check counts as caught, not one that could not run."""
        finding, seconds = _timed(self.look)
        caught = finding.outcome is Outcome.FAILED
        detail = (
            self.planted if caught else f"{self.planted}: the check said {finding.outcome}, {finding.detail}"
        )
        return ControlResult(self.name, caught, detail, seconds)


def _timed(look: Callable[[], Finding]) -> tuple[Finding, float]:
    """What was found, or that nothing was because of an error, and how long that took."""
    started = time.monotonic()
    try:
        finding = look()
    except Failure as error:
        finding = Finding(Outcome.ERROR, error.message)
    return finding, round(time.monotonic() - started, 3)
