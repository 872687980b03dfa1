"""What runs beside the schedule while a configuration is in force: reviews, and pages to be looked at."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from drkit.daemon.beside import Periodic
from drkit.errors import ToolFailed
from drkit.model import utc_now
from drkit.state.directory import State
from drkit.tools.process import execute
from drkit.tools.process.command import OWN_PROGRAM, Command, search_path

if TYPE_CHECKING:
    from drkit.config import Config

log = logging.getLogger(__name__)

_LOOK_EVERY = timedelta(minutes=3)
_BEAT = timedelta(seconds=20)
# It looked: the site is green, or not, or its repository cannot be read.
_LOOKED = (0, 5, 7, 10, 11, 12)


@contextlib.contextmanager
def services(settings: Config, config_path: Callable[[], Path]) -> Iterator[Sequence[Periodic]]:
    """Start it; what is given is to be done periodically, until the scheduler or its configuration ends.

    `config_path` gives the file that can be used just now.

    Raises DrkitError where it cannot start: that is told, and the schedule is kept all the same.
    """
    with contextlib.ExitStack() as stack:
        yield (
            Periodic("alarms", _LOOK_EVERY, lambda: _tell(settings, config_path)),
            *_status_page(stack, settings, config_path),
        )


def _status_page(
    stack: contextlib.ExitStack, settings: Config, config_path: Callable[[], Path]
) -> Iterator[Periodic]:
    """Serve the status page, if it is asked for, and let it know that the scheduler lives.

    Where it cannot be served, as on a port that another has, nothing else waits for it: it is tried again.
    """
    listen = settings.status.listening
    if listen is None:
        return
    from drkit.daemon import web
    from drkit.daemon.published import Published

    def refresh() -> None:
        """In a process of its own: the scheduler needs none of what it takes to look."""
        program = (*OWN_PROGRAM, "--quiet", "--config", str(config_path()), "status", "--write")
        ended = execute.run(Command(program, {**os.environ, "PATH": search_path()}, nothing_behind=True))
        if ended.code not in _LOOKED:
            raise ToolFailed(ended.stderr.strip() or f"it ended with exit code {ended.code}")

    published = Published(State(settings.site.state).published, settings.status.refresh, refresh)
    yield Periodic("the status page", _BEAT, web.Service(listen, published, stack).keep)


def _tell(settings: Config, config_path: Callable[[], Path]) -> None:
    """Tell what is new though no job has run; in a process of its own: it takes what waiting does not."""
    from drkit.actions.alarms.watch import is_due

    if not is_due(settings, utc_now()):
        return
    program = (*OWN_PROGRAM, "--config", str(config_path()), "--quiet", "notify")
    code = execute.pass_through(Command(program, {**os.environ, "PATH": search_path()}, nothing_behind=True))
    if code != 0:
        log.warning("notify ended with exit code %d", code)
