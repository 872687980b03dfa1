"""`drkit scheduler` and `drkit timers`: the same schedule, run here or handed to the system."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drkit import scheduler, timers
from drkit.cli.perform import Run
from drkit.errors import ConfigError, UsageError
from drkit.state import State
from drkit.tools import process, stopping
from drkit.tools.command import Command

if TYPE_CHECKING:
    from drkit.cli.paper import Paper

# A verb that is told to stop ends its own tools and tears down what it built; that takes a while.
_GRACE_SECONDS = 90.0


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
        return process.pass_through(Command((*program, verb), dict(os.environ)))

    with state.scheduler_lock():
        scheduler.run(settings.schedule.jobs, act, state.root, stop=lambda: stopping.stop_all(_GRACE_SECONDS))


def show_end(_paper: Paper, _result: None) -> None:
    """The scheduler ends without a word; its log has said so."""


def make_timers(run: Run, *, systemd: bool, cron: bool, install: Path | None) -> Timers:
    """The schedule for systemd or cron; raises UsageError for both at once, ConfigError for no schedule."""
    if systemd and cron:
        raise UsageError("one of --systemd and --cron at a time", hint="leave one out")
    schedule = run.settings.schedule
    if not schedule.jobs:
        raise ConfigError("there is nothing on the schedule", hint="give [schedule] a line such as backup")
    program = Path(shutil.which("drkit") or sys.argv[0]).absolute()
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


def show_timers(paper: Paper, found: Timers) -> None:
    """Print the units or lines, or say what was installed."""
    if found.directory is None:
        paper.line(found.text, end="")
        return
    for name in found.files:
        paper.print(f"{found.directory}/{name}{'' if name in found.installed else ' (as it was)'}")
    names = " ".join(name for name in found.files if name.endswith(".timer"))
    paper.print()
    paper.line(f"Next: systemctl daemon-reload && systemctl enable --now {names}")
