"""How far long work has got: a value that the work reports and the command line draws."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Update:
    """One piece of work (`stage`) and how far it is; `total` is None while nobody knows."""

    stage: str
    done: float = 0
    total: float | None = None
    unit: Literal["bytes", "items", ""] = ""
    finished: bool = False


Listener = Callable[[Update], None]


def wants_totals(listener: Listener) -> bool:
    """Whether somebody looks at how much is left, which may take a walk over everything to find out."""
    return bool(getattr(listener, "wants_totals", False))


def silent(_update: Update) -> None:
    """The listener of work that nobody watches."""


class Meter:
    """Adds up bytes from several threads, and tells the listener of them every now and then."""

    def __init__(self, listener: Listener, stage: str, total: float | None) -> None:
        self._listener = listener
        self._stage = stage
        self._total = total
        self._done = 0
        self._told = 0.0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._told < _EVERY_SECONDS:
                return
            self._told = now
            done = self._done
        self._listener(Update(self._stage, done, self._total, "bytes"))
