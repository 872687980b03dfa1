"""Runs the schedule in the foreground: one job at a time, late ones once, none dropped in silence.

planner.py says what is due; this loop asks it every second, by whatever the clock says then. So a clock that
is set, or a machine that slept, makes nothing wait for a time that was computed before.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import datetime

from drkit.daemon.beside import Beside, Failed, Periodic, log_failure
from drkit.daemon.memory import Memory
from drkit.daemon.planner import Due, LastRun, Plan, choose, describe, overdue, settle
from drkit.errors import ConfigError, DrkitError, Interrupted
from drkit.model import cron, utc_now
from drkit.tools.systemd import Supervisor

log = logging.getLogger(__name__)

# Within this time what is due is begun, and a signal noticed, which interrupts the wait only where it meets
# the main thread in the midst of it.
_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 10.0

Beginning = Callable[[Plan, dict[str, LastRun] | None], dict[str, LastRun]]


@dataclass(frozen=True)
class Work:
    """What a configuration asks for.

    `act(job)` does a job, in a thread, and returns its exit code. `beside` is entered while this
    configuration is in force: what it gives is done again and again.
    """

    plan: Plan
    act: Callable[[str], int]
    beside: Callable[[], AbstractContextManager[Sequence[Periodic]]] = lambda: nullcontext(())


@dataclass(frozen=True)
class Surroundings:
    """What a scheduler needs of the process that it runs in.

    `stop` is called once, on a signal: it ends the act that runs, and makes one that is about to start
    return at once. `look` is called every second: what it raises ends the scheduler in the same way.
    `reload` reads the configuration again, on SIGHUP; None where the old one is kept. `missed` is told of
    a job that was due several times when no scheduler ran, and runs once. `failed` gets what something beside
    the jobs raises.
    """

    stop: Callable[[], None]
    look: Callable[[], None] = lambda: None
    reload: Callable[[], Work | None] = lambda: None
    missed: Callable[[Due], None] = lambda _due: None
    failed: Failed = log_failure
    supervisor: Supervisor = field(default_factory=Supervisor)
    clock: Callable[[], datetime] = utc_now


def last_runs(_plan: Plan, remembered: dict[str, LastRun] | None) -> dict[str, LastRun]:
    """The last runs as they are remembered."""
    return remembered or {}


def run(work: Work, memory: Memory, around: Surroundings, beginning: Beginning = last_runs) -> None:
    """Run the schedule until SIGTERM or SIGINT; returns when the run under way has ended.

    `beginning` says when each job ran last, given what is remembered of that. Only from the main thread.
    Raises ConfigError for a bad expression or an empty schedule, and what `act` raises.
    """
    check(work.plan)
    asked = _Asked()
    with _told(asked), ExitStack() as services:
        loop = Loop(work, memory, around)
        loop.begin(beginning)
        loop.serve(services)
        around.supervisor.ready(loop.status())
        try:
            loop.tick()
            while not asked.stop.wait(_LOOK_SECONDS):
                around.look()
                if asked.reload.is_set():
                    asked.reload.clear()
                    loop.reload(services)
                loop.tick()
        finally:
            log.info("the scheduler ends")
            around.supervisor.stopping()
            loop.end()
        loop.raise_failure()


def check(plan: Plan) -> None:
    """Raise ConfigError for a bad expression or an empty schedule."""
    if not plan.jobs:
        raise ConfigError("there is nothing on the schedule", hint="give [schedule] a line such as backup")
    for job, expression in plan.jobs.items():
        cron.read(job, expression)


@dataclass
class Loop:
    """What one second does: begin what is due, where nothing runs."""

    work: Work
    memory: Memory
    around: Surroundings
    _beside: Beside = field(init=False)
    _stopping: bool = False
    # The job that runs, until the tick that finds it ended.
    running: threading.Thread | None = None
    _ran: set[str] = field(default_factory=set)
    _failure: Exception | None = None
    _since: datetime | None = None

    def __post_init__(self) -> None:
        self._beside = Beside(self.around.failed)

    def begin(self, beginning: Beginning) -> None:
        """Find out what was missed, and tell of it; it is made up for by the first ticks."""
        now = self._since = self.around.clock()
        known = beginning(self.work.plan, self.memory.read())
        self.memory.begin(settle(self.work.plan, known, now))
        late = overdue(self.work.plan, self.memory.runs, now)
        for due in late:
            at = f"{due.at.astimezone(self.work.plan.zone):%Y-%m-%d %H:%M %Z}"
            log.warning("%s should have run at %s, when no scheduler ran: it runs now", due.job, at)
        self._describe(now)

    def _describe(self, now: datetime) -> None:
        for line in describe(self.work.plan, now):
            log.info("%s", line)

    def serve(self, services: ExitStack) -> None:
        """Start what runs beside the jobs. What cannot start is told, and keeps no job from running."""
        try:
            self._beside.take(services.enter_context(self.work.beside()))
        except DrkitError as error:
            self.around.failed("what runs beside the schedule", error)

    def reload(self, services: ExitStack) -> None:
        """Go on with the configuration as it is now, if it can be used; what is due stays due."""
        self.around.supervisor.reloading()
        work = self.around.reload()
        if work is not None:
            self._beside.end(_GRACE_SECONDS)
            services.close()
            self.work = work
            now = self.around.clock()
            self.memory.keep(settle(work.plan, self.memory.runs, now))
            log.info("the configuration was read again")
            self._describe(now)
            self.serve(services)
        self.around.supervisor.ready(self.status())

    def tick(self) -> None:
        """Begin the most important of what is due, if nothing runs; raises what kept a job from running."""
        self.raise_failure()
        self.around.supervisor.alive()
        self._beside.tick()
        self.memory.retry()
        now = self.around.clock()
        # Also while a job runs: it may take hours, in which others are due.
        self._heed_clock(now)
        if self.running is not None:
            if self.running.is_alive():
                return
            self.running = None
            self.around.supervisor.status(self.status())
        due = choose(overdue(self.work.plan, self.memory.runs, now), self._ran)
        if due is None:
            # The round is over: the most important goes first in the next.
            self._ran.clear()
        else:
            self._tell_of_lost(due)
            if due.job in self._ran:
                self._ran.clear()
            self._ran.add(due.job)
            self.running = threading.Thread(target=self._run, args=(due.job, now), name=due.job)
            self.running.start()
            self.around.supervisor.status(f"{due.job} runs since {now.astimezone(self.work.plan.zone):%H:%M}")

    def _tell_of_lost(self, due: Due) -> None:
        """Tell of what was due several times and runs once: another job was long, or no scheduler ran."""
        if due.times == 1:
            return
        log.warning("%s was due %d times: it runs once", due.job, due.times)
        if self._since is not None and due.at <= self._since:
            self.around.missed(due)

    def _heed_clock(self, now: datetime) -> None:
        """A clock that was set back must not keep anything waiting until it is as late again."""
        settled = settle(self.work.plan, self.memory.runs, now)
        for job, last in settled.items():
            if last != self.memory.runs.get(job):
                log.warning("the clock was set back: %s counts from now", job)
                self.memory.note(job, last)

    def _run(self, job: str, began: datetime) -> None:
        """Run a job, in a thread; what that raises waits for `raise_failure`."""
        expression = self.work.plan.jobs[job]
        log.info("%s starts", job)
        try:
            code = self.work.act(job)
        except Interrupted as error:
            code = error.exit_code
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            self._failure = error
            return
        if code != 0 and self._stopping:
            # Not noted down, so the next start makes up for it.
            log.warning("%s was interrupted: it runs again when the scheduler starts", job)
            return
        log.log(logging.INFO if code == 0 else logging.WARNING, "%s ended with exit code %d", job, code)
        self.memory.note(job, LastRun(began, expression))

    def status(self) -> str:
        """What comes next, for `systemctl status`."""
        plan, now = self.work.plan, self.around.clock()
        at, job = min((plan.following(job, last), job) for job, last in self.memory.runs.items())
        return f"next: {job} at {max(at, now).astimezone(plan.zone):%Y-%m-%d %H:%M %Z}"

    def end(self) -> None:
        """End what runs, and wait for it."""
        self._stopping = True
        self.around.stop()
        if self.running is not None:
            while self.running.is_alive():
                self.running.join(_LOOK_SECONDS)
                self.around.supervisor.alive()
        self._beside.end(_GRACE_SECONDS)

    def raise_failure(self) -> None:
        """Raise what has kept a job from being run, in the thread that waits."""
        if self._failure is not None:
            raise self._failure


def _has_terminal() -> bool:
    try:
        with open("/dev/tty", "rb"):  # noqa: PTH123 - only whether it can be opened
            return True
    except OSError:
        return False


@dataclass
class _Asked:
    """What signals have asked for."""

    stop: threading.Event = field(default_factory=threading.Event)
    reload: threading.Event = field(default_factory=threading.Event)
    _terminal: bool = field(default_factory=_has_terminal)

    def told(self, number: int, _frame: object) -> None:
        """A signal came. SIGHUP is a terminal that hangs up, or asks to read the configuration again."""
        if number == signal.SIGHUP and _has_terminal() == self._terminal:
            self.reload.set()
        else:
            self.stop.set()


@contextlib.contextmanager
def _told(asked: _Asked) -> Iterator[None]:
    """A stretch in which the signals that tell drkit something only set events."""
    every = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    # What we were told to ignore (by nohup, say) stays ignored.
    signals = [sign for sign in every if signal.getsignal(sign) is not signal.SIG_IGN]
    before = [signal.signal(sign, asked.told) for sign in signals]
    try:
        yield
    finally:
        for sign, handler in zip(signals, before, strict=True):
            signal.signal(sign, handler)
