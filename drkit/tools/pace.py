"""A limit on bytes a second, for all threads that share it."""

from __future__ import annotations

import threading
import time

from drkit.tools.process import stopping

_LOOK_SECONDS = 0.5


class Pace:
    """Lets so many bytes pass a second, on average; None lets everything pass at once."""

    def __init__(self, bytes_per_second: int | None) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        # Until then the bytes that have passed take, by the monotonic clock.
        self._taken_until = 0.0

    def take(self, count: int) -> None:
        """Let `count` bytes pass, when it is their turn; raises Interrupted while it waits."""
        if self._rate is None:
            return
        with self._lock:
            begin = max(time.monotonic(), self._taken_until)
            end = self._taken_until = begin + count / self._rate
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
            stopping.stop_if_asked()
