"""A unit of work: some blobs of one of the 256 prefixes, about as many bytes as other units have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from drkit.blobs.inventory import Entry

# What it costs to open a blob, as bytes that could have been read instead.
_OPENING = 64 << 10
_PREFIX = len("sha256:") + 2


class Unit(NamedTuple):
    """Blobs with the same first two digits, sorted by digest; doing them twice does no harm."""

    number: int
    items: tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        """How many bytes its blobs have."""
        return sum(max(item.size, 0) for item in self.items)

    @property
    def name(self) -> str:
        """What an error calls it."""
        first, last = self.items[0].digest[:19], self.items[-1].digest[:19]
        span = first if first == last else f"{first} to {last}"
        return f"unit {self.number} ({len(self.items):,} blobs, {span})"


class Wrong(NamedTuple):
    """What a blob was found to be that is not as it should be.

    `size` bytes that hash to `digits` were read; `longer`: there are more, which were not.
    """

    kind: Literal["gone", "unreadable", "bytes", "longer"]
    size: int = 0
    digits: str = ""
    said: str = ""


class Done(NamedTuple):
    """What was made of a blob that is right.

    `version` is what the bucket calls it where it was stored; `kept`: it was there already, and right.
    `other` is the version that was read, where that is not the one which was named.
    """

    version: str | None = None
    kept: bool = False
    other: str | None = None


# What there is to say of nearly every blob.
DONE = Done()
Outcome = Wrong | Done


def cut(entries: Iterable[Entry], most: int) -> Iterator[Unit]:
    """Cut blobs, sorted by digest, into units of about `most` bytes, none across two prefixes.

    A stream: one unit is held at a time. A blob that is bigger is a unit by itself.
    """
    items: list[Entry] = []
    number, cost, prefix = 0, 0, ""
    for entry in entries:
        size, here = entry.size, entry.digest[:_PREFIX]
        own = size + _OPENING if size > 0 else _OPENING
        if items and (here != prefix or cost + own > most):
            number += 1
            yield Unit(number, tuple(items))
            items, cost = [], 0
        items.append(entry)
        cost += own
        prefix = here
    if items:
        yield Unit(number + 1, tuple(items))
