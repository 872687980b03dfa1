"""Where things stand in the pictures of the status page, in units of their SVG; pure."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from drkit.model import Attempt, DrillNote, Outcome, Point, PointStatus

WEEKS, AHEAD = 53, timedelta(weeks=13)
PITCH, TOP, LEFT = 14, 18, 30
WIDTH, HEIGHT = 720, 200
# Room beside a plot for what stands on its axes.
_AXIS, _FOOT = 86, 24


@dataclass(frozen=True)
class Day:
    """A day of a calendar: `state` is good, bad, mixed or none, `said` what happened on it."""

    x: int
    y: int
    state: str
    said: str


@dataclass(frozen=True)
class Label:
    """A word at a place."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Calendar:
    """A year by weeks: a column each, from Monday down to Sunday, the newest to the right."""

    days: tuple[Day, ...]
    months: tuple[Label, ...]
    good: int
    bad: int
    width: int = LEFT + WEEKS * PITCH
    height: int = TOP + 7 * PITCH


@dataclass(frozen=True)
class Event:
    """Something that happened on a day, and whether it was good."""

    day: date
    good: bool
    said: str


def backups(points: Sequence[Point], history: Iterable[Attempt], zone: tzinfo) -> list[Event]:
    """The backups that are known: runs of this machine, and points that are still there."""
    sealed = [p for p in points if p.status is PointStatus.SEALED]
    ids = {point.id for point in sealed}
    found = [Event(p.taken_at.astimezone(zone).date(), True, f"point {p.id}") for p in sealed]
    for run in history:
        # A good one whose point is still there would be told twice.
        if run.verb == "backup" and not (run.good and run.subject in ids):
            found.append(Event(_day(run, zone), run.good, f"a backup {_ended(run, 'succeeded')}"))
    return found


def drills(notes: Iterable[DrillNote], history: Iterable[Attempt], zone: tzinfo) -> list[Event]:
    """The drills that are known: those with a report, and runs of this machine that have none any more."""
    notes = list(notes)
    found = [
        Event(
            note.finished_at.astimezone(zone).date(),
            note.outcome is Outcome.PASSED,
            f"{note.level} drill of {note.point}: {note.outcome}",
        )
        for note in notes
    ]
    reported = {note.id for note in notes}
    for run in history:
        if run.verb == "drill" and run.subject not in reported:
            found.append(Event(_day(run, zone), run.good, f"{run.label} {_ended(run, 'passed')}"))
    return found


def _day(run: Attempt, zone: tzinfo) -> date:
    return (run.ended_at or run.began_at).astimezone(zone).date()


def _ended(run: Attempt, well: str) -> str:
    """How a run ended that is not under way."""
    if run.good:
        return well
    return f"failed (exit code {run.exit_code})" if run.ended_at else "never ended"


def year(events: Iterable[Event], today: date) -> Calendar:
    """The calendar of the year that ends with this week."""
    by_day: dict[date, list[Event]] = {}
    for event in events:
        by_day.setdefault(event.day, []).append(event)
    first = today - timedelta(days=today.weekday(), weeks=WEEKS - 1)
    found, months = [], []
    for number in range((today - first).days + 1):
        day = first + timedelta(days=number)
        week, weekday = divmod(number, 7)
        here = by_day.get(day, [])
        said = "; ".join(event.said for event in here[:4]) + ("; ..." if len(here) > 4 else "")
        found.append(
            Day(
                LEFT + week * PITCH,
                TOP + weekday * PITCH,
                _state(here),
                f"{day:%a %Y-%m-%d}: {said or 'nothing'}",
            )
        )
        if day.day == 1 and week < WEEKS - 1:
            months.append(Label(LEFT + week * PITCH, TOP - 6, calendar.month_abbr[day.month]))
    good = sum(day.state in ("good", "mixed") for day in found)
    bad = sum(day.state in ("bad", "mixed") for day in found)
    return Calendar(tuple(found), tuple(months), good, bad)


def _state(events: Sequence[Event]) -> str:
    kinds = {event.good for event in events}
    if len(kinds) == 2:
        return "mixed"
    return {True: "good", False: "bad"}[kinds.pop()] if kinds else "none"


@dataclass(frozen=True)
class Row:
    """A job of the schedule: the days on which it is due."""

    job: str
    y: int
    days: tuple[Day, ...]
    total: int


@dataclass(frozen=True)
class Ahead:
    """The weeks that come: a row for each job, a column for each day."""

    rows: tuple[Row, ...]
    weeks: tuple[Label, ...]
    width: int
    height: int


_STEP, _ROW, _NAMES = 7, 20, 90


def ahead(due: Mapping[str, Mapping[str, int]], today: date) -> Ahead:
    """Job -> day (ISO) -> how often, as rows of the thirteen weeks from today on."""
    rows = []
    for number, (job, days) in enumerate(due.items()):
        y = TOP + number * _ROW
        marks = []
        for day, count in sorted(days.items()):
            offset = (date.fromisoformat(day) - today).days
            times = "" if count == 1 else f", {count} times"
            said = f"{date.fromisoformat(day):%a %Y-%m-%d}: {job}{times}"
            marks.append(Day(_NAMES + offset * _STEP, y, "due", said))
        rows.append(Row(job, y, tuple(marks), sum(days.values())))
    monday = today + timedelta(days=-today.weekday() % 7)
    weeks = [monday + timedelta(weeks=n) for n in range(0, 12, 2)]
    labels = tuple(Label(_NAMES + (w - today).days * _STEP, TOP - 6, f"{w:%m-%d}") for w in weeks)
    return Ahead(tuple(rows), labels, _NAMES + (AHEAD.days + 1) * _STEP + 16, TOP + len(rows) * _ROW)


@dataclass(frozen=True)
class Mark:
    """A measured value in a plot."""

    x: float
    y: float
    good: bool
    said: str


@dataclass(frozen=True)
class Plot:
    """Values over time; `target` is the height of the line that they should stay below."""

    marks: tuple[Mark, ...]
    line: str
    target: float | None
    ticks: tuple[Label, ...]
    months: tuple[Label, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _AXIS
    bottom: int = HEIGHT - _FOOT


def _thinned(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """Of good ones that lie on one another the last: a point each hour for a year is no picture."""
    kept: dict[tuple[int, bool, str], Mark] = {}
    for mark in marks:
        kept[(int(mark.x / 2), mark.good, "" if mark.good else mark.said)] = mark
    return tuple(sorted(kept.values(), key=lambda mark: mark.x))


@dataclass(frozen=True)
class Value:
    """What was measured when, how it reads, and whether it is as it should be."""

    at: datetime
    amount: float
    said: str
    good: bool = True


def plot(
    values: Iterable[Value],
    now: datetime,
    span: timedelta,
    ticks: Sequence[tuple[float, str]],
    target: float | None,
) -> Plot:
    """The values of that span until now, below the highest of the ticks."""
    top = max((amount for amount, _ in ticks), default=1.0) or 1.0
    width, depth = WIDTH - _AXIS - 10, HEIGHT - _FOOT - 12

    def across(at: datetime) -> float:
        return round(_AXIS + width * (1 - (now - at) / span), 1)

    def down(amount: float) -> float:
        return round(12 + depth * (1 - min(amount, top) / top), 1)

    shown = sorted((v for v in values if now - span <= v.at <= now), key=lambda value: value.at)
    marks = _thinned(Mark(across(v.at), down(v.amount), v.good, v.said) for v in shown)
    months = []
    for back in range(int(span.days / 30) + 1):
        month = (now.year * 12 + now.month - 1) - back
        start = now.replace(year=month // 12, month=month % 12 + 1, day=1, hour=0, minute=0)
        if now - span <= start:
            months.append(Label(across(start), HEIGHT - 6, calendar.month_abbr[start.month]))
    return Plot(
        marks,
        " ".join(f"{mark.x},{mark.y}" for mark in marks),
        None if target is None else down(target),
        tuple(Label(_AXIS - 8, down(amount), text) for amount, text in ticks),
        tuple(months),
    )
