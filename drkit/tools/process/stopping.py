"""Whether drkit is being interrupted, and what has to end then.

An interruption meets the main thread, as an exception. The work of other threads ends by what is here: what
they wait for is ended, and whatever they begin next refuses.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from drkit.errors import Interrupted

GRACE_SECONDS = 10.0

# Ends something that a thread waits for, within so many seconds; raises nothing.
End = Callable[[float], None]

_asked = threading.Event()
_ends: list[End] = []
_lock = threading.Lock()


def asked() -> bool:
    """Whether drkit is being interrupted."""
    return _asked.is_set()


def stop_if_asked() -> None:
    """Raise Interrupted if drkit is being interrupted; for long work that starts no process."""
    if _asked.is_set():
        raise Interrupted("interrupted")


def wait(seconds: float) -> None:
    """Wait so long, or until drkit is being interrupted."""
    _asked.wait(seconds)


def stop_all(grace: float = GRACE_SECONDS) -> None:
    """End everything that others wait for, and let nothing begin any more: drkit is being interrupted.

    What has not ended within `grace` seconds is ended by force.
    """
    _asked.set()
    with _lock:
        # The last first: a query is told to end before the programs that may take their time.
        ends = _ends[::-1]
    for end in ends:
        end(grace)


def register(end: End) -> None:
    """Let `end` be called when drkit is interrupted."""
    with _lock:
        _ends.append(end)


@contextlib.contextmanager
def ended_by(end: End) -> Iterator[None]:
    """Let `end` be called if drkit is interrupted while this lasts."""
    register(end)
    try:
        yield
    finally:
        with _lock:
            _ends.remove(end)
