"""`drkit trail`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from drkit.cli.options import Json
from drkit.cli.run import perform


def trail(
    context: typer.Context,
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, help="How many entries to show.")] = 20,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Take note of what was changed, so that it is no problem any more."),
    ] = False,
    json: Json = False,
) -> None:
    """Show who ran what on this machine, and whether that record is as it was written."""
    from drkit.actions import trail as action
    from drkit.cli.views import trail as show

    perform(context, "trail", json, lambda run: action.show(run.settings, last, confirm=confirm), show.trail)
