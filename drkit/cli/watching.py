"""A result shown again and again: in place on a terminal, one block after another elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from drkit.cli import streams
from drkit.cli.ending import complain
from drkit.cli.output import Output
from drkit.errors import Failure, Interrupted

T = TypeVar("T")


def watch(work: Callable[[], T], show: Callable[[Output, T], None], seconds: float) -> None:
    """Do the work and show what comes of it, `seconds` after the last time, until interrupted.

    That is how it is meant to end, and no error; nor is a reader of the pipe who has gone. What fails is
    shown and tried again.
    """
    try:
        while True:
            _once(work, show)
            time.sleep(seconds)
    except Interrupted:
        return
    except BrokenPipeError:
        streams.hush(sys.stdout)


def _once(work: Callable[[], T], show: Callable[[Output, T], None]) -> None:
    result: object
    try:
        result, failed = work(), None
    except Failure as error:
        result, failed = error.result, error
    paper = Output(sys.stdout, succeeded=failed is None)
    paper.clear()
    if result is not None:
        show(paper, result)  # type: ignore[arg-type]  # an error has the result of what it ended
    if failed:
        complain(failed)
    if not sys.stdout.isatty():
        paper.print()
    sys.stdout.flush()
