"""What one registry knows of the requests that are under way, and what has happened so far."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Traffic:
    """Shared by all threads that use one registry."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._projects: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._pushes: dict[object, datetime.datetime] = {}
        self._counts: Counter[str] = Counter()
        self._no_collection = threading.Event()
        self._no_collection.set()

    @contextlib.contextmanager
    def push(self) -> Iterator[None]:
        """A push from its first question to its last row."""
        key = object()
        with self._guard:
            self._pushes[key] = _now()
        try:
            yield
        finally:
            with self._guard:
                del self._pushes[key]

    def settled(self, window: float) -> datetime.datetime:
        """What was last touched before this moment may be collected: `window` seconds ago, or earlier.

        Harbor's window of two hours is longer than any push. One of seconds is not: it reaches back to the
        beginning of the oldest push under way, or the registry would damage itself.
        """
        with self._guard:
            return min([_now() - datetime.timedelta(seconds=window), *self._pushes.values()])

    @contextlib.contextmanager
    def alone_in(self, project: str) -> Iterator[None]:
        """One change at a time of what a project has.

        Harbor lets a push and a deletion race for a row of project_blob here, and can lose a blob that is in
        use. That damages production, and is no business of a backup's.
        """
        with self._guard:
            lock = self._projects[project]
        with lock:
            yield

    @contextlib.contextmanager
    def collection(self) -> Iterator[None]:
        """A garbage collection, until its last row says that it is over."""
        self._no_collection.clear()
        try:
            yield
        finally:
            self._no_collection.set()

    def wait_for_collection(self, seconds: float) -> None:
        """Wait until the garbage collection that is under way is over, if there is one."""
        self._no_collection.wait(seconds)

    def count(self, what: str, number: int = 1) -> None:
        """Something has happened."""
        with self._guard:
            self._counts[what] += number

    def counted(self, what: str) -> int:
        """How often it has happened."""
        with self._guard:
            return self._counts[what]

    def counts(self) -> dict[str, int]:
        """All that has happened."""
        with self._guard:
            return dict(self._counts)


def _now() -> datetime.datetime:
    """As Harbor writes it: UTC, without saying so."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
