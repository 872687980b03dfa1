"""What the configuration sets around a verb: priority, a time limit, programs before and after."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from drkit.cli import crash
from drkit.errors import DrkitError, Interrupted, TookTooLong

if TYPE_CHECKING:
    from drkit.config import Config

T = TypeVar("T")


@dataclass
class TimeLimit:
    """Interrupts this process after a while; `passed` says that it did."""

    verb: str
    most: timedelta | None
    passed: bool = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """A stretch that may take no longer."""
        if self.most is None:
            yield
            return
        timer = threading.Timer(self.most.total_seconds(), self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self) -> None:
        self.passed = True
        # As somebody else would: everything ends in good order.
        os.kill(os.getpid(), signal.SIGTERM)

    def explain(self, error: DrkitError) -> DrkitError:
        """The error of the verb: that it took too long, where that is why it was interrupted."""
        if not self.passed or not isinstance(error, Interrupted):
            return error
        return TookTooLong(
            f"{self.verb} took longer than {self.most}, and was ended",
            hint=f"see in the log what took so long, or raise {self.verb} in [max_duration]",
            result=error.result,
        )


def around(settings: Config, verb: str, work: Callable[[], T]) -> T:
    """Do the work of a verb as the configuration limits it, with its programs before and after.

    What is to run after it runs also where the verb failed, was interrupted or was not begun. Raises what the
    verb raises, TookTooLong where it was ended for that, HookFailed.
    """
    _give_way(settings)
    limit = TimeLimit(verb, settings.max_duration.of(verb))
    result: T | None = None
    failed: DrkitError | None = None
    try:
        with limit.hold():
            _before(settings, verb)
            result = work()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told what runs after it
        failed = limit.explain(crash.known(error, verb, settings.site.state))
    failed = _after(settings, verb, failed, failed.result if failed else result)
    if failed is not None:
        raise failed
    return result  # type: ignore[return-value]  # it did not fail


def _before(settings: Config, verb: str) -> None:
    if settings.hooks:
        from drkit.actions import hooks

        hooks.before(settings, verb)


def _give_way(settings: Config) -> None:
    """Lower the priority of this process and of all that it will start."""
    limits = settings.limits
    if limits.nice or limits.io != "normal":
        from drkit.tools.process import priority

        priority.lower(limits.nice, limits.io)


def _after(settings: Config, verb: str, failed: DrkitError | None, result: object) -> DrkitError | None:
    """Run what is to run after the verb; returns how the whole failed."""
    if not settings.hooks:
        return failed
    from drkit.actions import hooks

    point = str(getattr(result, "point", "") or (getattr(result, "id", "") if verb == "backup" else ""))
    refused = hooks.after(settings, verb, hooks.Ending(failed, point))
    if refused is not None and failed is None:
        refused.result = result
    return failed or refused
