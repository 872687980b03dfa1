"""The progress of long work: a value that the work reports and the command line draws."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Update:
    """One piece of work (`stage`) and how far it is; `total` is None while nobody knows."""

    stage: str
    done: float = 0
    total: float | None = None
    unit: Literal["bytes", "items", "seconds", ""] = ""
    finished: bool = False


Listener = Callable[[Update], None]


def wants_totals(listener: Listener) -> bool:
    """Whether somebody looks at how much is left, which may take a walk over everything to find out."""
    return bool(getattr(listener, "wants_totals", False))


def silent(_update: Update) -> None:
    """The listener of work that nobody watches."""


_holders: list[Callable[[], AbstractContextManager[None]]] = []


@contextmanager
def drawn(hold: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """A stretch in which progress is drawn on the terminal; `hold` is a stretch in which it is not."""
    _holders.append(hold)
    try:
        yield
    finally:
        _holders.remove(hold)


@contextmanager
def question() -> Iterator[None]:
    """A stretch in which the terminal belongs to a question: nothing is drawn over it."""
    with ExitStack() as stack:
        for hold in _holders:
            stack.enter_context(hold())
        yield


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
