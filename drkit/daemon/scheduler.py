"""Runs the schedule in the foreground: one verb at a time, late ones once, none dropped in silence.

APScheduler waits and runs, cron.py says when; what this module adds is a file that remembers when each verb
last ran, so that a run is made up for after a restart, and an orderly end.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from apscheduler import events
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from pydantic import AwareDatetime, TypeAdapter

from drkit.errors import ConfigError, Interrupted
from drkit.files import make_directory, replace_file
from drkit.model import cron, utc_now
from drkit.model.clock_changes import local_zone

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


class CronTrigger(BaseTrigger):  # type: ignore[misc]
    """When an expression is due in a time zone; what it gives is in UTC.

    APScheduler adds to and compares what a trigger gives, which Python does by the clock face within one
    zone: in the hour that comes twice its own trigger never gets to the end.
    """

    def __init__(self, expression: str, zone: tzinfo) -> None:
        self._expression = expression
        self._zone = zone

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The first time after the previous one, or after now where there is none."""
        after = (previous or now).astimezone(self._zone)
        return next(cron.times(self._expression, after)).astimezone(UTC)


def describe(jobs: Mapping[str, str], now: datetime) -> tuple[str, ...]:
    """One line for each verb: its expression, and when it runs next in the time zone of `now`."""
    return tuple(
        f"{verb}: {expression}, next at {next(cron.times(expression, now)):%a %Y-%m-%d %H:%M %Z}"
        for verb, expression in jobs.items()
    )


def missed(last_runs: Mapping[str, LastRun], now: datetime) -> dict[str, datetime]:
    """The verbs that should have run between their last run and now, with when, the longest overdue first.

    Judged by the expression of that time: a schedule that was changed since makes nothing overdue.
    """
    due = {
        verb: next(cron.times(last.expression, last.at.astimezone(now.tzinfo)))
        for verb, last in last_runs.items()
    }
    overdue = ((verb, at) for verb, at in due.items() if at.astimezone(UTC) <= now.astimezone(UTC))
    return dict(sorted(overdue, key=lambda item: item[1].astimezone(UTC)))


def run(
    jobs: Mapping[str, str],
    act: Callable[[str], int],
    state: Path,
    *,
    stop: Callable[[], None],
    look: Callable[[], None] = lambda: None,
) -> None:
    """Run verb -> cron expression until SIGTERM or SIGINT; returns when the run under way has ended.

    `act(verb)` does the work in a thread of the scheduler's and returns its exit code. `stop` is called
    once, on the signal: it ends the act that runs, and makes one that is about to start return at once.
    `look` is called every second: what it raises ends the scheduler in the same way.
    Only from the main thread. Raises ConfigError for a bad expression or an empty schedule, and what `act`
    raises.
    """
    if not jobs:
        raise ConfigError("there is nothing on the schedule", hint="give [schedule] a line such as backup")
    for verb, expression in jobs.items():
        cron.read(verb, expression)
    zone = local_zone()
    stopping = threading.Event()
    with _told_to_stop(stopping):
        scheduler = make_scheduler()
        runner = _Runner(jobs, act, _Memory(state / STATE_FILE), stopping)
        runner.schedule(scheduler, datetime.now(zone), zone)
        scheduler.start()
        for line in describe(jobs, datetime.now(zone)):
            log.info("%s", line)
        try:
            while not stopping.wait(_LOOK_SECONDS):
                look()
                runner.raise_failure()
                scheduler.wakeup()
        finally:
            log.info("the scheduler ends")
            stopping.set()
            stop()
            scheduler.shutdown(wait=True)
        runner.raise_failure()


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


def make_scheduler() -> BackgroundScheduler:
    """An APScheduler that runs one job at a time, late ones once, and tells of everything it leaves out."""
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(max_workers=1)},
        # Its default grace is one second, after which a late job vanishes.
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    scheduler.add_listener(_tell, events.EVENT_JOB_MISSED | events.EVENT_JOB_MAX_INSTANCES)
    return scheduler


def _tell(event: events.JobEvent) -> None:
    log.warning("%s is due, but its last run has not ended: left out", event.job_id)


@dataclass
class _Runner:
    """What the scheduler's one worker does for a verb."""

    jobs: Mapping[str, str]
    act: Callable[[str], int]
    memory: _Memory
    stopping: threading.Event
    _failure: Exception | None = None

    def raise_failure(self) -> None:
        """Raise what has kept a verb from being run, in the thread that waits."""
        if self._failure is not None:
            raise self._failure

    def schedule(self, scheduler: BackgroundScheduler, now: datetime, zone: tzinfo) -> None:
        """Put every verb on the schedule, and those that are overdue at its head."""
        overdue = self.memory.begin(self.jobs, now)
        for verb, expression in self.jobs.items():
            scheduler.add_job(self.run, CronTrigger(expression, zone), [verb], id=verb)
        for number, (verb, due) in enumerate(overdue.items()):
            log.warning("%s should have run at %s, when no scheduler ran: it runs now", verb, due)
            # A millisecond apart, so that the longest overdue comes first.
            at = now.astimezone(UTC) + timedelta(milliseconds=number)
            scheduler.modify_job(verb, next_run_time=at)

    def run(self, verb: str) -> None:
        """Run a verb; what that raises waits for `raise_failure`, for APScheduler would go on without it."""
        try:
            self._run(verb)
        except Exception as error:  # noqa: BLE001 - raised elsewhere
            self._failure = error

    def _run(self, verb: str) -> None:
        if self.stopping.is_set():
            return
        began = utc_now()
        log.info("%s starts", verb)
        try:
            code = self.act(verb)
        except Interrupted as error:
            code = error.exit_code
        if code != 0 and self.stopping.is_set():
            # Not noted down, so the next start makes up for it.
            log.warning("%s was interrupted: it runs again when the scheduler starts", verb)
            return
        log.log(logging.INFO if code == 0 else logging.WARNING, "%s ended with exit code %d", verb, code)
        self.memory.note(verb, LastRun(began, self.jobs[verb]))


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
            make_directory(self._path.parent, 0o700, exist_ok=True)
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
            log.warning("cannot read from %s what was missed: a new one is made", self._path)
            return {}

    def _write(self) -> None:
        replace_file(self._path, _LAST_RUNS.dump_json(self._runs, indent=1).decode() + "\n")
