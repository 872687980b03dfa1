"""A count, and the first few by name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

# So many are named.
FIRST = 20


def first_few(names: Sequence[str], separator: str = ", ", most: int = 3) -> str:
    """The first of the names, and how many more there are: `a, b, c and 2 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


class Tally(Generic[T]):
    """How many there were, and the first of them; any number of threads may add."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[T] = []
        self._lock = threading.Lock()

    def add(self, item: T) -> None:
        """One more."""
        with self._lock:
            self.count += 1
            if len(self._first) < FIRST:
                self._first.append(item)

    @property
    def first(self) -> tuple[T, ...]:
        """The first of them."""
        return tuple(self._first)

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        """The first of them and how many more there are: `a, b and 3 more`."""
        more = f" and {self.count - len(self._first):,} more" if self.count > len(self._first) else ""
        return f"{', '.join(map(str, self._first))}{more}"
