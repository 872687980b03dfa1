"""`drkit scheduler`: the schedule, run here, each job in a process of its own as a timer would run it."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from drkit.cli import beside, crash, recording, telling
from drkit.cli.run import Run
from drkit.config import load_config
from drkit.config.kept import keep
from drkit.daemon import history, scheduler
from drkit.daemon.memory import STATE_FILE, Memory
from drkit.daemon.planner import Due, LastRun, Plan
from drkit.errors import ConfigError, DrkitError, Interrupted, ToolFailed
from drkit.model import job as jobs
from drkit.model import utc_now
from drkit.state.directory import State
from drkit.tools import systemd
from drkit.tools.process import execute, stopping
from drkit.tools.process.command import OWN_PROGRAM, Command, search_path

if TYPE_CHECKING:
    from drkit.cli.output import Output
    from drkit.config import Config

log = logging.getLogger(__name__)

# A verb that is told to stop ends its own tools and tears down what it built; that takes a while.
_GRACE_SECONDS = 90.0
# What setpriv and shells say of a child that SIGKILL has ended.
_KILLED = 128 + signal.SIGKILL
_KEPT = "scheduler.toml"


def run_scheduler(run: Run, clock: Callable[[], datetime] = utc_now) -> None:
    """Run the schedule until told to stop; what is due goes by the clock."""
    settings = run.settings
    state = State(settings.site.state)
    state.prepare()
    supervisor = systemd.supervisor(os.environ, os.getpid())
    with state.scheduler_lock():
        keeper = _Keeper(run.config_path.absolute(), settings)
        around = scheduler.Surroundings(
            stop=lambda: stopping.stop_all(_GRACE_SECONDS),
            look=lambda: crash.raise_from_threads(None),
            reload=keeper.reload,
            missed=lambda due: _tell_of_missed(keeper.settings, due),
            failed=keeper.failed,
            supervisor=supervisor,
            clock=clock,
        )

        def beginning(plan: Plan, remembered: dict[str, LastRun] | None) -> dict[str, LastRun]:
            return history.last_runs(keeper.settings, plan, remembered)

        try:
            scheduler.run(keeper.work(), Memory(state.root / STATE_FILE), around, beginning)
        except Exception as error:
            failed = crash.known(error, "scheduler", state.root)
            telling.of_end(settings, failed)
            raise failed from error


@dataclass
class _Keeper:
    """The configuration that the scheduler goes by: the last good one that it has read."""

    path: Path
    settings: Config
    _wrong: str = ""

    def __post_init__(self) -> None:
        self._keep(self.settings)

    def work(self) -> scheduler.Work:
        """What it asks for."""
        settings = self.settings
        return scheduler.Work(plan_of(settings), self.act, lambda: beside.services(settings, self._good_path))

    def reload(self) -> scheduler.Work | None:
        """Read it again; None where the old one is kept, of which somebody is told."""
        try:
            settings = load_config(self.path)
            if (settings.site.name, settings.site.state) != (
                self.settings.site.name,
                self.settings.site.state,
            ):
                raise ConfigError(
                    "name and state in [site] cannot be changed while the scheduler runs",
                    hint="start it anew",
                )
            scheduler.check(plan_of(settings))
        except ConfigError as error:
            self._tell_of_wrong(error)
            return None
        self.settings, self._wrong = settings, ""
        self._keep(settings)
        return self.work()

    def _keep(self, settings: Config) -> None:
        try:
            if settings.file is not None:
                keep(settings.file, self._copy)
        except OSError as error:
            log.warning("cannot keep a copy of the configuration in %s: %s", self._copy, error.strerror)

    @property
    def _copy(self) -> Path:
        return self.settings.site.state / _KEPT

    def _tell_of_wrong(self, error: ConfigError) -> None:
        """Say that the configuration cannot be used, once for each fault."""
        log.error("the configuration cannot be used, and the old one is kept: %s", error.message)
        if error.message != self._wrong:
            self._wrong = error.message
            what = "the configuration cannot be used, and the old one is kept"
            body = f"{error.message}\n{error.hint}".strip()
            telling.of_schedule(self.settings, what, body)

    def _good_path(self) -> Path:
        """The file itself, or, where it cannot be used just now, the copy of what it was."""
        try:
            load_config(self.path)
        except ConfigError as error:
            if not self._copy.exists():
                return self.path
            self._tell_of_wrong(error)
            return self._copy
        self._wrong = ""
        return self.path

    def act(self, job: str) -> int:
        """Do a job in a process of its own; returns its exit code."""
        settings = self.settings
        try:
            several, span = len(settings.repositories) > 1, settings.schedule.verify_for
            words = jobs.words(job, several=several, verify_for=span)
            program = (*OWN_PROGRAM, "--config", str(self._good_path()))
            command = Command((*program, *words), {**os.environ, "PATH": search_path()})
            code = execute.pass_through(command)
            if code < 0 or code == _KILLED:
                telling.of_lost(settings)
            return code
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - the other jobs go on, and this one's end is told
            return _could_not_run(settings, job, error)

    def failed(self, name: str, error: Exception) -> None:
        """Log what kept something beside the schedule from being done; a bug leaves its traceback."""
        log.error("%s: %s", name, crash.known(error, "scheduler", self.settings.site.state).message)


def plan_of(settings: Config) -> Plan:
    """The schedule of a configuration."""
    schedule = settings.schedule
    jitter = {"jitter": schedule.jitter} if schedule.jitter else {}
    return Plan(settings.site.name, schedule.jobs, schedule.zone, **jitter)


def _could_not_run(settings: Config, job: str, error: Exception) -> int:
    """A job that cannot even be started writes nothing down itself; returns an exit code for it."""
    if isinstance(error, OSError):
        said = f"it could not be started: {error.strerror}"
        failed: DrkitError = ToolFailed(said, hint="see the scheduler's log")
    else:
        failed = crash.known(error, job, settings.site.state)
    log.error("%s: %s", job, failed.message)
    recording.trail(settings, recording.JOBS[job]).end(failed, None)
    return failed.exit_code


def _tell_of_missed(settings: Config, due: Due) -> None:
    """Send that a job was due several times when no scheduler ran."""
    since = f"{due.at.astimezone(settings.schedule.zone):%Y-%m-%d %H:%M %Z}"
    body = f"No scheduler ran. {due.job} was due {due.times} times since {since}: it runs now, once."
    telling.of_schedule(settings, f"{due.job} was missed {due.times} times", body)


def show_end(_paper: Output, _result: None) -> None:
    """Print nothing: the scheduler's log has said that it ends."""
