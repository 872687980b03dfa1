"""A limit on the bytes that are held in memory at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from drkit.tools.process import stopping


class Budget:
    """Bytes that buffers may take in all; who wants more than is free waits."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Hold `size` bytes of it; one that is larger than all of it gets all of it."""
        size = min(size, self._total)
        self.take(size)
        try:
            yield
        finally:
            self.give(size)

    def take(self, size: int) -> None:
        """Hold `size` bytes until they are given back, by whichever thread; Interrupted while it waits."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._free >= size, timeout=1):
                stopping.stop_if_asked()
            self._free -= size

    def give(self, size: int) -> None:
        """Let go of so many bytes."""
        with self._changed:
            self._free += size
            self._changed.notify_all()
