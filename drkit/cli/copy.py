"""`drkit copy`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from drkit.cli.options import DryRun, Json
from drkit.cli.recording import Recorded
from drkit.cli.run import perform


def copy(
    context: typer.Context,
    point: Annotated[
        str | None,
        typer.Argument(metavar="[POINT]", help="Default: every one that retention would keep there."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Default: every repository but the first.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Copy recovery points to further repositories."""
    from drkit.actions.copy import run as action
    from drkit.cli.views import copy as show

    options = action.CopyOptions(point, to, dry_run)
    # One point by name says nothing of the others.
    recorded = None if dry_run or point is not None else Recorded("copy", to or "")
    perform(
        context,
        "copy",
        json,
        lambda run: action.copy(run.settings, options, run.listener),
        show.copy,
        recorded,
    )
