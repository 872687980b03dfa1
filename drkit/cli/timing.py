"""`drkit timers`: the schedule handed to the system."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drkit.cli.run import Run
from drkit.daemon import timers
from drkit.errors import ConfigError, UsageError
from drkit.model import clock_changes, utc_now
from drkit.tools.process.command import which

if TYPE_CHECKING:
    from drkit.cli.output import Output

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timers:
    """The schedule in another system's words, and what was written where."""

    text: str
    files: tuple[str, ...]
    installed: tuple[str, ...]
    directory: str | None


def make_timers(run: Run, *, systemd: bool, cron: bool, install: Path | None) -> Timers:
    """The schedule for systemd or cron; raises UsageError for both at once, ConfigError for no schedule."""
    if systemd and cron:
        raise UsageError("one of --systemd and --cron at a time", hint="leave one out")
    schedule = run.settings.schedule
    if not schedule.jobs:
        raise ConfigError("there is nothing on the schedule", hint="give [schedule] a line such as backup")
    for said in clock_changes.warnings(schedule.jobs, schedule.zone, utc_now()):
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
