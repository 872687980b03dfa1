"""Runs the schedule in the foreground: one verb at a time, late ones once, none dropped in silence.

The times come from APScheduler; what this module adds is cron's own reading of an expression, a file that
remembers when each verb last ran, so that a run is made up for after a restart, and an orderly end.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from apscheduler import events
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from pydantic import AwareDatetime, TypeAdapter
from tzlocal import get_localzone

from drkit import cron
from drkit.errors import ConfigError, Interrupted
from drkit.files import replace_file
from drkit.model import utc_now

log = logging.getLogger(__name__)

STATE_FILE = "schedule.json"
# Within this time a machine that slept, or a clock that was set forward, is noticed; and a signal, which
# interrupts the wait only where it meets the main thread in the midst of it.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class LastRun:
    """When a verb last began to run (or was first put on the schedule), and by which expression."""

    at: AwareDatetime
    expression: str

    def __post_init__(self) -> None:
        cron.parse(self.expression)


_LAST_RUNS = TypeAdapter(dict[str, LastRun])


def local_zone() -> tzinfo:
    """The machine's time zone, with its changes of the clock."""
    zone: tzinfo = get_localzone()
    return zone


def trigger(expression: cron.Cron, zone: tzinfo) -> BaseTrigger:
    """APScheduler's trigger for a cron expression, its two ways to name a day included."""

    def on(**days: str) -> CronTrigger:
        hours, minutes = _list(expression.hours), _list(expression.minutes)
        return CronTrigger(month=_list(expression.months), **days, hour=hours, minute=minutes, timezone=zone)

    # By name, since APScheduler counts days of the week from 0 = Monday.
    weekdays = ",".join(cron.WEEKDAYS[day] for day in expression.weekdays)
    if expression.either_day:
        return OrTrigger([on(day=_list(expression.days)), on(day_of_week=weekdays)])
    return on(day=_list(expression.days), day_of_week=weekdays)


def _list(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def next_times(expression: str, after: datetime, count: int) -> tuple[datetime, ...]:
    """The next `count` times after a moment, in that moment's time zone; raises ValueError."""
    assert after.tzinfo is not None
    fires = trigger(cron.parse(expression), after.tzinfo)
    found = [after]
    while len(found) <= count:
        found.append(fires.get_next_fire_time(found[-1], found[-1]))
    return tuple(found[1:])


def describe(jobs: Mapping[str, str], now: datetime) -> tuple[str, ...]:
    """One line for each verb: its expression, and when it runs next in the time zone of `now`."""
    return tuple(
        f"{verb}: {expression}, next at {next_times(expression, now, 1)[0]:%a %Y-%m-%d %H:%M %Z}"
        for verb, expression in jobs.items()
    )


def missed(last_runs: Mapping[str, LastRun], now: datetime) -> dict[str, datetime]:
    """The verbs that should have run between their last run and now, with when, the longest overdue first.

    Judged by the expression of that time: a schedule that was changed since makes nothing overdue.
    """
    due = {
        verb: next_times(last.expression, last.at.astimezone(now.tzinfo), 1)[0]
        for verb, last in last_runs.items()
    }
    return dict(sorted(((verb, at) for verb, at in due.items() if at <= now), key=lambda item: item[1]))


def run(jobs: Mapping[str, str], act: Callable[[str], int], state: Path, *, stop: Callable[[], None]) -> None:
    """Run verb -> cron expression until SIGTERM or SIGINT; returns when the run under way has ended.

    `act(verb)` does the work in a thread of the scheduler's and returns its exit code. `stop` is called
    once, on the signal: it ends the act that runs, and makes one that is about to start return at once.
    Only from the main thread. Raises ConfigError for a bad expression or an empty schedule.
    """
    if not jobs:
        raise ConfigError("there is nothing on the schedule", hint="give [schedule] a line such as backup")
    for verb, expression in jobs.items():
        cron.read(verb, expression)
    zone = local_zone()
    stopping = threading.Event()
    with _told_to_stop(stopping):
        scheduler = make_scheduler(zone)
        _Runner(jobs, act, _Memory(state / STATE_FILE), stopping).schedule(scheduler, datetime.now(zone))
        scheduler.start()
        for line in describe(jobs, datetime.now(zone)):
            log.info("%s", line)
        while not stopping.wait(_LOOK_SECONDS):
            scheduler.wakeup()
        log.info("the scheduler ends")
        stop()
        scheduler.shutdown(wait=True)


@contextlib.contextmanager
def _told_to_stop(stopping: threading.Event) -> Iterator[None]:
    """A stretch in which the signals that tell drkit to stop only set the event."""
    every = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    # What we were told to ignore (by nohup, say) stays ignored.
    signals = [sign for sign in every if signal.getsignal(sign) is not signal.SIG_IGN]
    before = [signal.signal(sign, lambda _number, _frame: stopping.set()) for sign in signals]
    try:
        yield
    finally:
        for sign, handler in zip(signals, before, strict=True):
            signal.signal(sign, handler)


def make_scheduler(zone: tzinfo) -> BackgroundScheduler:
    """An APScheduler that runs one job at a time, late ones once, and tells of everything it leaves out."""
    # Its own words would go to stderr past our log; the listener says the same.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL + 1)
    scheduler = BackgroundScheduler(
        timezone=zone,
        executors={"default": ThreadPoolExecutor(max_workers=1)},
        # Its default grace is one second, after which a late job vanishes.
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    scheduler.add_listener(
        _tell, events.EVENT_JOB_ERROR | events.EVENT_JOB_MISSED | events.EVENT_JOB_MAX_INSTANCES
    )
    return scheduler


def _tell(event: events.JobEvent) -> None:
    if event.code == events.EVENT_JOB_ERROR:
        log.error("%s could not be run: %s", event.job_id, event.exception)
    else:
        log.warning("%s is due, but its last run has not ended: left out", event.job_id)


class _Runner:
    """What the scheduler's one worker does for a verb."""

    def __init__(
        self, jobs: Mapping[str, str], act: Callable[[str], int], memory: _Memory, stopping: threading.Event
    ) -> None:
        self._jobs = jobs
        self._act = act
        self._memory = memory
        self._stopping = stopping

    def schedule(self, scheduler: BackgroundScheduler, now: datetime) -> None:
        """Put every verb on the schedule, and those that are overdue at its head."""
        overdue = self._memory.begin(self._jobs, now)
        for verb, expression in self._jobs.items():
            times = trigger(cron.parse(expression), scheduler.timezone)
            scheduler.add_job(self.run, times, [verb], id=verb)
        for number, (verb, due) in enumerate(overdue.items()):
            log.warning("%s should have run at %s, when no scheduler ran: it runs now", verb, due)
            # A millisecond apart, so that the longest overdue comes first.
            scheduler.modify_job(verb, next_run_time=now + timedelta(milliseconds=number))

    def run(self, verb: str) -> None:
        if self._stopping.is_set():
            return
        began = utc_now()
        log.info("%s starts", verb)
        try:
            code = self._act(verb)
        except Interrupted as error:
            code = error.exit_code
        if code != 0 and self._stopping.is_set():
            # Not noted down, so the next start makes up for it.
            log.warning("%s was interrupted: it runs again when the scheduler starts", verb)
            return
        log.log(logging.INFO if code == 0 else logging.WARNING, "%s ended with exit code %d", verb, code)
        self._memory.note(verb, LastRun(began, self._jobs[verb]))


class _Memory:
    """The last run of each verb, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs: dict[str, LastRun] = {}

    def begin(self, jobs: Mapping[str, str], now: datetime) -> dict[str, datetime]:
        """What is overdue. A verb that is new, or has a new expression, counts from now."""
        known = {verb: run for verb, run in self._read().items() if verb in jobs}
        overdue = missed(known, now)
        kept = {v: r for v, r in known.items() if v in overdue or r.expression == jobs[v]}
        self._runs = {verb: kept.get(verb) or LastRun(now, text) for verb, text in jobs.items()}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._path}: {error.strerror}", hint="see [site] state"
            ) from None
        return overdue

    def note(self, verb: str, run: LastRun) -> None:
        self._runs[verb] = run
        try:
            self._write()
        except OSError as error:
            log.error("cannot note down in %s that %s ran: %s", self._path, verb, error.strerror)

    def _read(self) -> dict[str, LastRun]:
        try:
            return _LAST_RUNS.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            log.warning("cannot read from %s what was missed: it is made anew", self._path)
            return {}

    def _write(self) -> None:
        replace_file(self._path, _LAST_RUNS.dump_json(self._runs, indent=1).decode() + "\n")
