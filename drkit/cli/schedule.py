"""`drkit scheduler` and `drkit timers`: their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import Json
from drkit.cli.run import Run, perform
from drkit.errors import UsageError

if TYPE_CHECKING:
    from drkit.daemon.installation import Form


def scheduler(context: typer.Context) -> None:
    """Run the schedule in the foreground."""
    from drkit.cli import unattended

    perform(context, "scheduler", False, unattended.run_scheduler, unattended.show_end)


def timers(
    context: typer.Context,
    systemd: Annotated[bool, typer.Option("--systemd", help="systemd timers (the default).")] = False,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="The systemd unit of `drkit scheduler` instead.")
    ] = False,
    cron: Annotated[bool, typer.Option("--cron", help="Lines for cron instead.")] = False,
    install: Annotated[bool, typer.Option("--install", help="Put them where the system looks.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove all that was installed for this site.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", metavar="DIR", help="Default: /etc/systemd/system, and /etc/cron.d for cron."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print, install or remove systemd timers or cron lines for the same schedule."""
    from drkit.cli import timing

    def work(run: Run) -> timing.Timers:
        if systemd + daemon + cron > 1:
            raise UsageError("one of --systemd, --daemon and --cron at a time", hint="leave the others out")
        form: Form = "daemon" if daemon else "cron" if cron else "timers"
        return timing.make_timers(run, form, install=install, remove=remove, directory=directory)

    perform(context, "timers", json, work, timing.show_timers)
