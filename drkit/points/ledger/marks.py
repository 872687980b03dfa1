"""What is known of the reading of an item, and which of two marks counts; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

State = Literal["unread", "read", "wrong"]
# Two bytes of a record name one.
MOST = 1 << 16


@dataclass(frozen=True)
class Mark:
    """An item was `read` and right, or `wrong`, at a moment, by a run of a verb on a host.

    `unread` is what was never read, and is not older than that moment: it was not there before, or nobody
    knows.
    """

    state: State
    at: datetime
    run: str = ""
    verb: str = ""
    host: str = ""


def rank(mark: Mark) -> tuple[bool, float, bool, str, str]:
    """Of two marks of an item that of the higher rank counts: the later one, and at one moment the worse.

    Whatever was read outranks what was not; of two that were not read the earlier counts.
    """
    looked = mark.state != "unread"
    seconds = mark.at.timestamp()
    return looked, seconds if looked else -seconds, mark.state == "wrong", mark.run, mark.host


class Marks:
    """All marks that a run may meet, each by its number: of two of an item the higher number counts."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        self.every = tuple(sorted(set(marks), key=rank))
        self._number = {mark: number for number, mark in enumerate(self.every)}
        # What was found wrong comes before everything else, then what is unread for longest.
        ages = [0.0 if mark.state == "wrong" else mark.at.timestamp() for mark in self.every]
        order = {age: turn for turn, age in enumerate(sorted(set(ages)))}
        self.turns = tuple(order[age] for age in ages)

    def number(self, mark: Mark) -> int:
        """The number of a mark that was given."""
        return self._number[mark]


def believed(mark: Mark, now: datetime, skew: timedelta, since: datetime) -> Mark:
    """The mark as it counts: nothing was read at a moment that is still to come.

    What was found wrong stays so, whenever that was, until it is read again.
    """
    if mark.at <= now + skew:
        return mark
    if mark.state == "wrong":
        return replace(mark, at=now - timedelta.resolution)
    return Mark("unread", since)
