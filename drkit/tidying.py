"""Tidying up that no interruption cuts off: of what is removed by half, something would be left behind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

# How many such stretches the main thread is in, which alone meets signals.
_depth = 0


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """A stretch of tidying up that is soon over: a signal that comes meanwhile interrupts afterwards."""
    global _depth  # noqa: PLW0603 - there is one main thread
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def under_way() -> bool:
    """Whether an interruption has to wait."""
    return _depth > 0
