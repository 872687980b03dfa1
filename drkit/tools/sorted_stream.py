"""A sorted stream beside another: one side of a merge join, in memory for one item at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Generic, Protocol, TypeVar


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=_Ordered)
T = TypeVar("T")


class SortedStream(Generic[K, T]):
    """A stream sorted by key, asked for one key after another in the same order.

    A key that comes too late is not found.
    """

    def __init__(self, items: Iterable[T], key: Callable[[T], K]) -> None:
        self._items = iter(items)
        self._key = key
        self._met = False
        self._step()

    def at(self, key: K, passed: Callable[[T], object] | None = None) -> T | None:
        """The item of that key, if there is one; `passed` is told of each before it that nobody asked for."""
        while self._head is not None and self._head_key < key:
            if passed and not self._met:
                passed(self._head)
            self._step()
        if self._head is None or self._head_key != key:
            return None
        self._met = True
        return self._head

    def rest(self) -> Iterator[T]:
        """What is left and was not asked for."""
        while self._head is not None:
            if not self._met:
                yield self._head
            self._step()

    def _step(self) -> None:
        self._head = next(self._items, None)
        self._met = False
        if self._head is not None:
            self._head_key = self._key(self._head)


def grouped(items: Iterable[T], key: Callable[[T], K]) -> Iterator[tuple[K, list[T]]]:
    """The items of a sorted stream, those of one key together."""
    return ((found, list(same)) for found, same in groupby(items, key=key))
