"""Messages of the scheduler's own; that nobody can be told is logged, and ends nothing.

What it takes to send them is loaded only then: the scheduler waits for most of its life.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from drkit.errors import DrkitError

if TYPE_CHECKING:
    from drkit.config import Config

log = logging.getLogger(__name__)


def of_end(settings: Config, error: DrkitError) -> None:
    """The scheduler has ended: no backup runs from here on."""
    from drkit.actions import outcome

    with _logged():
        outcome.tell_of_end(settings, "scheduler", error)


def of_schedule(settings: Config, what: str, body: str) -> None:
    """Something about the schedule or its configuration."""
    from drkit.actions import outcome

    with _logged():
        outcome.tell_of_schedule(settings, what, body)


def of_lost(settings: Config) -> None:
    """A verb was killed, which cannot tell of that itself."""
    from drkit.actions import outcome

    with _logged():
        outcome.tell_of_lost(settings)


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except DrkitError as error:
        log.warning("%s", error.message)
