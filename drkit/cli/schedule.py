"""`drkit scheduler` and `drkit timers`: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drkit.cli.options import Json
from drkit.cli.run import Run, perform


def scheduler(context: typer.Context) -> None:
    """Run the schedule in the foreground."""
    from drkit.cli import unattended

    perform(context, "scheduler", False, unattended.run_scheduler, unattended.show_end)


def timers(
    context: typer.Context,
    systemd: Annotated[bool, typer.Option("--systemd", help="systemd units (the default).")] = False,
    cron: Annotated[bool, typer.Option("--cron", help="Lines for a crontab.")] = False,
    install: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the units to this directory, such as /etc/systemd/system."),
    ] = None,
    json: Json = False,
) -> None:
    """Print or install systemd timers or cron lines for the same schedule."""
    from drkit.cli import timing

    def work(run: Run) -> timing.Timers:
        return timing.make_timers(run, systemd=systemd, cron=cron, install=install)

    perform(context, "timers", json, work, timing.show_timers)
