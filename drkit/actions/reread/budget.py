"""How much a verify may read: for so long, so many bytes, or both."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from drkit.config.fields import parse_duration
from drkit.errors import UsageError

_SIZE = re.compile(r"(\d{1,9})([KMGT])")
# Bytes a second, as long as nobody knows the pace and no time is limited: slower is no storage of today.
_SLOW = 1 << 20
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(text: str) -> int:
    """`500G` as bytes; raises ValueError for anything else, zero included."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError("an amount of bytes looks like 500M, 20G or 2T")
    return int(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True)
class Limits:
    """What the command line allows; None is no limit."""

    span: timedelta | None = None
    bytes: int | None = None

    def share(self, part: float) -> Limits:
        """The limits of a part of the work."""
        return Limits(
            self.span * part if self.span is not None else None,
            int(self.bytes * part) if self.bytes is not None else None,
        )

    def after(self, seconds: float, size: int) -> Limits:
        """What is left once so many seconds are gone, and so many bytes were read."""
        return Limits(
            self.span - timedelta(seconds=seconds) if self.span is not None else None,
            self.bytes - size if self.bytes is not None else None,
        )


def limits(span: str | None, size: str | None) -> Limits | None:
    """The limits in the words of the command line, None where there are none; raises UsageError."""
    if span is None and size is None:
        return None
    try:
        return Limits(
            parse_duration(span) if span is not None else None, parse_size(size) if size is not None else None
        )
    except ValueError as error:
        raise UsageError(str(error), hint="for example `drkit verify --for 2h --bytes 500G`") from None


class Budget:
    """What is left of the limits, from now on; `clock` is a monotonic clock in seconds.

    What is read in one go takes no longer than a `stretch`, as far as the pace so far tells.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float] = time.monotonic, stretch: timedelta | None = None
    ) -> None:
        self._stretch = stretch
        self._clock = clock
        self._began = clock()
        self._limits = limits
        self._read = 0

    def take(self, size: int) -> None:
        """So many bytes are read."""
        self._read += size

    @property
    def used_up(self) -> bool:
        """Whether nothing may be begun any more."""
        over = self._limits.bytes is not None and self._read >= self._limits.bytes
        return over or (self.seconds_left is not None and self.seconds_left <= 0)

    @property
    def seconds_left(self) -> float | None:
        """Until when something may be begun; None for as long as it likes."""
        if self._limits.span is None:
            return None
        return self._limits.span.total_seconds() - (self._clock() - self._began)

    @property
    def pace(self) -> float | None:
        """Bytes a second so far; None as long as nothing was read."""
        return self._read / max(self._clock() - self._began, 1e-9) if self._read else None

    @property
    def room(self) -> float | None:
        """How many bytes may still be read, at the pace so far; None where nothing is limited.

        As long as nobody knows the pace, a limit of time leaves room for nothing but a first try.
        """
        rooms: list[float] = []
        if self._limits.bytes is not None:
            rooms.append(self._limits.bytes - self._read)
        if (left := self.seconds_left) is not None:
            rooms.append(left * self.pace if self.pace is not None else 0)
        return min(rooms, default=None)

    @property
    def most(self) -> float | None:
        """How many bytes may be read in one go; None for as many as there is room for."""
        return self._stretch.total_seconds() * (self.pace or _SLOW) if self._stretch is not None else None
