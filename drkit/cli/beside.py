"""What runs beside the schedule while a configuration is in force: reviews, and pages to be looked at."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from drkit.daemon.beside import Periodic
from drkit.model import utc_now
from drkit.tools.process import execute
from drkit.tools.process.command import Command, search_path

if TYPE_CHECKING:
    from drkit.config import Config

log = logging.getLogger(__name__)

_LOOK_EVERY = timedelta(minutes=3)


@contextlib.contextmanager
def services(settings: Config, config_path: Path) -> Iterator[Sequence[Periodic]]:
    """Start it; what is given is to be done periodically, until the scheduler or its configuration ends.

    Raises DrkitError where it cannot start: that is told, and the schedule is kept all the same.
    """
    yield (Periodic("alarms", _LOOK_EVERY, lambda: _tell(settings, config_path)),)


def _tell(settings: Config, config_path: Path) -> None:
    """Tell what is new though no job has run; in a process of its own: it takes what waiting does not."""
    from drkit.actions.alarms.watch import is_due

    if not is_due(settings, utc_now()):
        return
    program = (sys.executable, "-m", "drkit", "--config", str(config_path), "--quiet", "notify")
    code = execute.pass_through(Command(program, {**os.environ, "PATH": search_path()}, nothing_behind=True))
    if code != 0:
        log.warning("notify ended with exit code %d", code)
