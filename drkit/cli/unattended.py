"""`drkit scheduler` and `drkit timers`: the same schedule, run here or handed to the system."""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drkit.cli import crash, recording
from drkit.cli.run import Run
from drkit.daemon import scheduler, timers
from drkit.errors import ConfigError, DrkitError, Interrupted, ToolFailed, UsageError
from drkit.model import clock_changes, utc_now
from drkit.state.directory import State
from drkit.tools.process import execute, stopping
from drkit.tools.process.command import Command, search_path, which

if TYPE_CHECKING:
    from drkit.cli.output import Output
    from drkit.config import Config

log = logging.getLogger(__name__)

# A verb that is told to stop ends its own tools and tears down what it built; that takes a while.
_GRACE_SECONDS = 90.0
# What setpriv and shells say of a child that SIGKILL has ended.
_KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True)
class Timers:
    """The schedule in another system's words, and what was written where."""

    text: str
    files: tuple[str, ...]
    installed: tuple[str, ...]
    directory: str | None


def run_scheduler(run: Run) -> None:
    """Run the schedule until told to stop; each verb in a process of its own, as a timer would run it."""
    settings = run.settings
    state = State(settings.site.state)
    state.prepare()
    program = (sys.executable, "-m", "drkit", "--config", str(run.config_path.absolute()))

    def act(verb: str) -> int:
        try:
            code = execute.pass_through(Command((*program, verb), {**os.environ, "PATH": search_path()}))
            if code < 0 or code == _KILLED:
                _tell_of_lost(settings)
            return code
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - the other verbs go on, and this one's end is told
            return _could_not_run(settings, verb, error)

    with state.scheduler_lock():
        try:
            scheduler.run(
                settings.schedule.jobs,
                act,
                state.root,
                stop=lambda: stopping.stop_all(_GRACE_SECONDS),
                look=lambda: crash.raise_from_threads(None),
            )
        except Exception as error:
            failed = crash.known(error, "scheduler", state.root)
            _tell_of_end(settings, failed)
            raise failed from error


def _could_not_run(settings: Config, verb: str, error: Exception) -> int:
    """A verb that cannot even be started writes nothing down itself; returns an exit code for it."""
    if isinstance(error, OSError):
        said = f"it could not be started: {error.strerror}"
        failed: DrkitError = ToolFailed(said, hint="see the scheduler's log")
    else:
        failed = crash.known(error, verb, settings.site.state)
    log.error("%s: %s", verb, failed.message)
    recording.trail(settings, recording.VERBS[verb]).end(failed, None)
    return failed.exit_code


def _tell_of_end(settings: Config, error: DrkitError) -> None:
    """Send that the scheduler has ended: no backup runs from here on."""
    from drkit.actions import outcome

    try:
        outcome.tell_of_end(settings, "scheduler", error)
    except DrkitError as problem:
        log.warning("%s", problem.message)


def _tell_of_lost(settings: Config) -> None:
    """Send that a verb was killed, which cannot do so itself."""
    from drkit.actions import outcome

    try:
        outcome.tell_of_lost(settings)
    except DrkitError as error:
        log.warning("%s", error.message)


def show_end(_paper: Output, _result: None) -> None:
    """Print nothing: the scheduler's log has said that it ends."""


def make_timers(run: Run, *, systemd: bool, cron: bool, install: Path | None) -> Timers:
    """The schedule for systemd or cron; raises UsageError for both at once, ConfigError for no schedule."""
    if systemd and cron:
        raise UsageError("one of --systemd and --cron at a time", hint="leave one out")
    schedule = run.settings.schedule
    if not schedule.jobs:
        raise ConfigError("there is nothing on the schedule", hint="give [schedule] a line such as backup")
    for said in clock_changes.warnings(schedule.jobs, clock_changes.local_zone(), utc_now()):
        log.warning("%s", said)
    program = Path(which("drkit") or sys.argv[0]).absolute()
    path = run.config_path.absolute()
    if cron:
        if install:
            raise UsageError(
                "--install is for systemd units", hint="put the lines in place with `crontab -e`"
            )
        return Timers(timers.cron_lines(schedule, program, path), (), (), None)
    units = timers.systemd_units(schedule, program, path)
    text = "\n".join(f"# {name}\n{unit}" for name, unit in units.items())
    changed = timers.install_units(units, install) if install else ()
    return Timers(text, tuple(units), changed, str(install) if install else None)


def show_timers(paper: Output, found: Timers) -> None:
    """Print the units or lines, or say what was installed."""
    if found.directory is None:
        paper.line(found.text, end="")
        return
    for name in found.files:
        paper.print(f"{found.directory}/{name}{'' if name in found.installed else ' (as it was)'}")
    names = " ".join(name for name in found.files if name.endswith(".timer"))
    paper.print()
    paper.line(f"Next: systemctl daemon-reload && systemctl enable --now {names}")
