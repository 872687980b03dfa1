"""Five-field cron expressions, read as cron itself reads them (crontab(5)); pure.

Days of the week count from 0 = Sunday, and 7 is Sunday too. Where both the day of the month and the day
of the week are restricted, a day that fits either is meant; a field that begins with `*` does not restrict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from drkit.errors import ConfigError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PIECE = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, WEEKDAYS),
)


@dataclass(frozen=True)
class Cron:
    """The values of each field, ascending; `weekdays` run from 0 = Sunday to 6 = Saturday.

    `either_day`: both kinds of day are restricted, and one of them is enough.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool

    def has_day(self, day: date) -> bool:
        """Whether a day fits, at whichever time."""
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        fits = by_date or by_weekday if self.either_day else by_date and by_weekday
        return fits and day.month in self.months


def parse(text: str) -> Cron:
    """The meaning of `"0 5 * * sun"`; raises ValueError with a sentence for a person."""
    words = text.split()
    if len(words) != 5:
        raise ValueError(f"it needs 5 fields and has {len(words)}")
    minutes, hours, days, months, weekdays = (
        _values(word, field) for word, field in zip(words, _FIELDS, strict=True)
    )
    cron = Cron(
        minutes,
        hours,
        days,
        months,
        tuple(sorted({day % 7 for day in weekdays})),
        either_day=not words[2].startswith("*") and not words[4].startswith("*"),
    )
    if not cron.either_day and all(days[0] > _LONGEST[month - 1] for month in months):
        raise ValueError("no such day exists")
    return cron


def read(verb: str, text: str) -> Cron:
    """`parse` for the schedule of a verb; raises ConfigError that names the verb and the expression."""
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(
            f'the schedule of {verb}, "{text}", is not a cron expression: {error}',
            hint='it is "minute hour day month weekday", such as "0 2 * * *" or "30 5 * * sun"',
        ) from None


def times(text: str, after: datetime) -> Iterator[datetime]:
    """The times of an expression after a moment, in that moment's time zone; raises ValueError.

    Where the clock changes they are those of Debian's cron: a time of day that a day lacks comes as soon as
    the clock has been set forward, and one that a day has twice comes once. `after` has a time zone.
    """
    from cronsim import CronSim

    weekdays = parse(text).weekdays
    *words, last = text.split()
    # cronsim has no ranges that end on a Sunday, such as `fri-sun`.
    days = last if last.startswith("*") else ",".join(map(str, weekdays))
    latest = after.astimezone(UTC)
    for at in CronSim(" ".join([*words, days]), after):
        # Within one zone Python compares clock faces, which go back in autumn.
        if at.astimezone(UTC) > latest:
            latest = at.astimezone(UTC)
            yield at


def _values(word: str, field: _Field) -> tuple[int, ...]:
    found: set[int] = set()
    for piece in word.split(","):
        found.update(_range(piece, field))
    return tuple(sorted(found))


def _range(piece: str, field: _Field) -> Iterable[int]:
    match = _PIECE.fullmatch(piece)
    if match is None:
        raise ValueError(f'"{piece}" is no {field.name}')
    first, last, step = match[1], match[2], match[3]
    if step is not None and int(step) == 0:
        raise ValueError(f'"{piece}" has a step of zero')
    if first is None:
        # 7 is another name of Sunday: for `*/2` the week ends on Saturday.
        return range(field.low, min(field.high, 6 if field.names == WEEKDAYS else 99) + 1, int(step or 1))
    low = _number(first, field)
    if last is None:
        if step is not None:
            raise ValueError(f'"{piece}" has a step but no range: write {first}-{field.high}/{step}')
        return (low,)
    high = _number(last, field)
    if field.names == WEEKDAYS and high == 0 < low:
        high = 7  # `fri-sun`
    if high < low:
        raise ValueError(f'"{piece}" runs backwards')
    return range(low, high + 1, int(step or 1))


def _number(word: str, field: _Field) -> int:
    """A number or a name in a field; months count from 1, days of the week from 0."""
    if word.lower() in field.names:
        return field.names.index(word.lower()) + field.low
    if not (word.isascii() and word.isdigit()) or not field.low <= int(word) <= field.high:
        names = f" or {field.names[0]}-{field.names[-1]}" if field.names else ""
        raise ValueError(f'"{word}" is no {field.name} ({field.low}-{field.high}{names})')
    return int(word)
