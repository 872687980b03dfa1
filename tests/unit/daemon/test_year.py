"""A year with a clock of its own: every due run happens or is told of, and retention keeps what it promises.

The scheduler's own loop turns, with jobs that take as long as they say, outages, failures, and changes of the
clock.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from drkit.config import Retention
from drkit.daemon.memory import Memory
from drkit.daemon.planner import Due, Plan
from drkit.daemon.scheduler import Loop, Surroundings, Work, last_runs
from drkit.model import Point, cron
from drkit.points import retention
from tests.samples import drill_note, sealed

STEP, MINUTE, HOUR, DAY = timedelta(minutes=15), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
JOBS = {
    # Where the clock is changed, and where it is not.
    "backup": "30 2 * * *",
    "copy": "15 */6 * * *",
    "verify": "0 8 * * 6",
    "drill": "17 7 15 1,4,7,10 *",
    "drill_quick": "17 7 * * 0",
    "expire": "17 6 * * *",
    "runbook": "0 9 1 * *",
}
RULES = Retention(keep_last=3, keep_daily=7, keep_weekly=5, keep_monthly=12)
START = datetime(2026, 1, 1, tzinfo=UTC)
# From when on the scheduler is away, and for how long: a night, a weekend, three weeks.
OUTAGES = ((40, 0.5), (100, 2.2), (200, 21.0), (300, 0.1))
# The day on which the clock is set wrongly, by how much, and for how long.
CLOCK_FAULTS = ((150, DAY * 9, HOUR * 5), (250, -HOUR * 30, HOUR * 5))


@dataclass
class Year:
    """A site for a year; `clock` is what its machine says."""

    zone: ZoneInfo
    memory: Path
    true_now: datetime = START
    wrong_by: timedelta = timedelta()
    busy_until: datetime = START
    began: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)
    random: Random = field(default_factory=lambda: Random(1))
    # Of each job when it began: truly, and as the clock said.
    runs: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    told: list[tuple[datetime, Due]] = field(default_factory=list)
    logged: dict[datetime, list[str]] = field(default_factory=lambda: defaultdict(list))
    there: dict[str, Point] = field(default_factory=dict)
    ever: list[Point] = field(default_factory=list)
    # Removed while the clock was wrong: by what it said then that was right.
    misled: set[str] = field(default_factory=set)

    @property
    def now(self) -> datetime:
        return self.true_now + self.wrong_by

    @property
    def plan(self) -> Plan:
        return Plan("registry.example.com", JOBS, self.zone, timedelta(minutes=20))

    def loop(self) -> Loop:
        """A scheduler that starts now."""
        around = Surroundings(
            lambda: None,
            clock=lambda: self.now,
            missed=lambda due: self.told.append((self.now, due)),
        )
        loop = Loop(Work(self.plan, self.act), Memory(self.memory), around)
        loop.begin(last_runs)
        return loop

    def act(self, job: str) -> int:
        """Do a job, in a moment; a backup may fail, and some take hours."""
        self.runs.append((job, self.true_now, self.now))
        self.busy_until = self.true_now + self.random.choice([MINUTE, MINUTE, HOUR, 7 * HOUR])
        code = self.done(job)
        gate = self.gate = threading.Event()
        self.began.set()
        assert gate.wait(60)
        return code

    def done(self, job: str) -> int:
        """What comes of a job, here at its beginning."""
        match job:
            case "backup" if self.random.random() < 0.1:
                return 3
            case "backup":
                point = sealed(f"{self.now:%Y%m%d-%H%M}", self.now)
                self.there[point.id] = point
                self.ever.append(point)
            case "drill" if self.there:
                self.prove(max(self.there.values(), key=lambda point: point.taken_at))
            case "expire":
                self.expire()
            case _:
                pass
        return 0

    def prove(self, point: Point) -> None:
        drilled = sealed(point.id, point.taken_at, drill_note(point.id, self.now))
        self.there[point.id] = drilled
        self.ever = [drilled if each.id == point.id else each for each in self.ever]

    def expire(self) -> None:
        for decision in retention.plan(list(self.there.values()), RULES, self.now):
            if not decision.keep:
                del self.there[decision.point.id]
                if self.wrong_by:
                    self.misled.add(decision.point.id)
        if not self.wrong_by:
            promised = {each.point.id for each in retention.plan(self.ever, RULES, self.now) if each.keep}
            assert promised - self.there.keys() <= self.misled, self.now
            assert len(self.there) <= 3 + 7 + 5 + 12 + 3

    def live(self, days: int) -> None:
        """Let the days go by."""
        loop = self.loop()
        outages = list(OUTAGES)
        while self.true_now < START + days * DAY:
            self.set_clock()
            if outages and self.true_now >= START + outages[0][0] * DAY:
                self.end_job(loop)
                self.true_now += outages.pop(0)[1] * DAY
                self.set_clock()
                loop = self.loop()
            if self.true_now >= self.busy_until:
                self.end_job(loop)
            before = len(self.runs)
            loop.tick()
            if loop.running is not None:
                # Until it has begun, and says how long it takes.
                assert self.began.wait(60)
            assert len(self.runs) <= before + 1
            self.true_now += STEP
        self.end_job(loop)

    def end_job(self, loop: Loop) -> None:
        """Let the job end that runs, if there is one."""
        if loop.running is not None:
            self.gate.set()
            loop.running.join()
            self.began.clear()

    def set_clock(self) -> None:
        since = (self.true_now - START) / DAY
        faults = (by for day, by, long in CLOCK_FAULTS if day <= since < day + long / DAY)
        self.wrong_by = next(faults, timedelta())

    def due(self, job: str) -> Iterator[datetime]:
        """By cron's own reading."""
        for at in cron.times(JOBS[job], START.astimezone(self.zone)):
            yield at.astimezone(UTC) + self.plan.delay(job)


class Listener(logging.Handler):
    """Keeps what the log says, by the time of a year."""

    def __init__(self, year: Year) -> None:
        super().__init__(logging.WARNING)
        self.year = year

    def emit(self, record: logging.LogRecord) -> None:
        self.year.logged[self.year.now].append(record.getMessage())


@pytest.fixture(params=["Europe/Berlin", "America/New_York"], scope="module")
def year(request: pytest.FixtureRequest) -> Iterator[Year]:
    # In memory, for each run is written down for good.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        found = Year(ZoneInfo(request.param), Path(directory) / "schedule.json")
        log, listener = logging.getLogger("drkit.daemon.scheduler"), Listener(found)
        log.addHandler(listener)
        try:
            found.live(365)
        finally:
            log.removeHandler(listener)
        yield found


def spans() -> list[tuple[datetime, datetime]]:
    """The stretches of the year in which the clock is right; a job that runs since before may end within."""
    edges = [START]
    for day, _, long in CLOCK_FAULTS:
        edges += [START + day * DAY, START + day * DAY + long]
    edges.append(START + 365 * DAY)
    return list(zip(edges[::2], edges[1::2], strict=True))


@pytest.mark.parametrize("job", JOBS)
def test_every_due_run_happened_or_was_told_of(year: Year, job: str) -> None:
    """Between two runs one was due; if it was more, somebody was told how many."""
    times = list(_until(year.due(job), START + 366 * DAY))
    checked = 0
    for first, end in spans():
        # What happened while the clock was wrong may have been made up for in the first hours.
        runs = [at for each, at, said in year.runs if each == job and at == said and first <= at < end]
        if first == START:
            runs = [START, *runs]
        for before, after in pairwise(runs):
            due = sum(before < at <= after for at in times)
            assert due >= 1, f"{job} ran at {after}, and nothing was due since {before}"
            assert due == 1 or f"{job} was due {due} times: it runs once" in year.logged[after]
            checked += due
        late = [at for at in times if (runs[-1] if runs else first) < at < end - 9 * HOUR]
        assert late == [] or not runs, f"{job} was due at {late} and never ran"
    assert checked > 0.75 * sum(at < START + 365 * DAY for at in times) or job in ("drill", "runbook")


def _until(times: Iterator[datetime], end: datetime) -> Iterator[datetime]:
    for at in times:
        if at >= end:
            return
        yield at


def test_a_backup_each_day_also_when_the_clock_is_changed(year: Year) -> None:
    counted = Counter(at.astimezone(year.zone).date() for job, at, _ in year.runs if job == "backup")
    changed = {"2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01"}
    assert {str(day): counted[day] for day in counted if str(day) in changed} == dict.fromkeys(changed, 1)


def test_an_outage_of_three_weeks_is_made_up_for_once_each_the_most_important_first(year: Year) -> None:
    back = START + 221 * DAY
    first = [job for job, at, _ in year.runs if back <= at < back + 2 * DAY]
    assert first[:4] == ["backup", "copy", "verify", "drill_quick"]
    (lost,) = [due.times for at, due in year.told if due.job == "backup" and back <= at < back + DAY]
    assert lost == 21


def test_a_wrong_clock_makes_nothing_run_twice_or_wait_for_days(year: Year) -> None:
    for day, _, long in CLOCK_FAULTS:
        wrong = START + day * DAY
        backups = [at for job, at, _ in year.runs if job == "backup" and wrong <= at < wrong + long]
        # What it makes up for, and what is due then.
        assert len(backups) <= 2
        right = wrong + long
        assert any(job == "backup" and right <= at < right + DAY for job, at, _ in year.runs)


def test_the_year_ends_with_what_retention_promised(year: Year) -> None:
    newest = max(year.ever, key=lambda point: point.taken_at)
    assert newest.id in year.there
    assert any(point.proven for point in year.there.values())
    months = {point.taken_at.strftime("%Y-%m") for point in year.there.values()}
    assert len(months) >= 12
    assert len(year.misled) <= 3
