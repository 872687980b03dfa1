"""How far a restore is as a whole, by the time that a drill says it takes: its parts tell of bytes alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from drkit.progress import Listener, Update

_STAGE = "everything, by the last drill"
_EVERY_SECONDS = 1.0


@contextmanager
def running(listener: Listener, expected: float | None) -> Iterator[None]:
    """Tell the listener every second, until it is over or takes longer than any drill says."""
    if expected is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_tell, args=(listener, expected, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        listener(Update(_STAGE, finished=True))


def _tell(listener: Listener, expected: float, ended: threading.Event) -> None:
    began = time.monotonic()
    while not ended.wait(_EVERY_SECONDS):
        passed = time.monotonic() - began
        if passed > expected:
            # Nobody knows any more how long it still takes.
            listener(Update(_STAGE, finished=True))
            return
        listener(Update(_STAGE, passed, expected, "seconds"))
