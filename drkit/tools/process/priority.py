"""Giving way to other processes: the priority of this one, which all that it starts inherits."""

from __future__ import annotations

import logging
import os

from drkit.errors import ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program

log = logging.getLogger(__name__)

# Classes of ionice(1): best effort at its lowest level, and only when nobody else wants the disk.
_IONICE = {"low": ("-c", "2", "-n", "7"), "idle": ("-c", "3")}


def lower(nice: int, io: str) -> None:
    """Run at this niceness at least, and with this priority at the disk (`normal`, `low`, `idle`).

    Called before there are threads, for each has a priority of its own. What the system refuses is logged.
    """
    try:
        os.nice(max(0, nice - os.nice(0)))
        if io in _IONICE:
            program = find_program("ionice", hint="it is part of util-linux")
            execute.check(Command((program, *_IONICE[io], "-p", str(os.getpid()))))
    except (OSError, ToolFailed) as error:
        log.warning("the priority cannot be lowered: %s", error)
