"""A stream in lists of so many items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in their order, `size` at a time; the last list may be shorter, and none is empty."""
    source = iter(items)
    while some := list(islice(source, size)):
        yield some
