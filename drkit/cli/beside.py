"""What runs beside the schedule while a configuration is in force: reviews, and pages to be looked at."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from drkit.daemon.beside import Periodic
from drkit.errors import ToolFailed
from drkit.state.directory import State
from drkit.tools.process import execute
from drkit.tools.process.command import Command, search_path

if TYPE_CHECKING:
    from drkit.config import Config

_BEAT = timedelta(seconds=10)
# It looked: the site is green, or not, or its repository cannot be read.
_LOOKED = (0, 5, 7, 10, 11, 12)


@contextlib.contextmanager
def services(settings: Config, config_path: Path) -> Iterator[Sequence[Periodic]]:
    """Start it; what is given is to be done periodically, until the scheduler or its configuration ends.

    Raises DrkitError where it cannot start: that is told, and the schedule is kept all the same.
    """
    with contextlib.ExitStack() as services:
        yield tuple(_status_page(services, settings, config_path))


def _status_page(services: contextlib.ExitStack, settings: Config, config_path: Path) -> Iterator[Periodic]:
    """Serve the status page, if it is asked for; what is given tells it that the scheduler lives."""
    listen = settings.status.listening
    if listen is None:
        return
    from drkit.daemon import web

    program = (sys.executable, "-m", "drkit", "--quiet", "--config", str(config_path), "status", "--write")

    def refresh() -> None:
        """In a process of its own: the scheduler needs none of what it takes to look."""
        ended = execute.run(Command(program, {**os.environ, "PATH": search_path()}))
        if ended.code not in _LOOKED:
            raise ToolFailed(ended.stderr.strip() or f"it ended with exit code {ended.code}")

    directory = State(settings.site.state).published
    published = web.Published(directory, settings.status.refresh, refresh)
    services.enter_context(web.serving(listen, published))
    yield Periodic("liveness of the status page", _BEAT, published.beat)
