"""`drkit drill`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drkit.cli.options import Identity, Json, Junit, RepositoryName
from drkit.cli.recording import Recorded
from drkit.cli.run import perform


def drill(
    context: typer.Context,
    point: Annotated[
        str | None, typer.Argument(metavar="[POINT]", help="Default: the newest sealed point.")
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="A sealed point chosen at random.")] = False,
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest sealed point.")] = False,
    level: Annotated[
        Literal["quick", "full"],
        typer.Option(help="quick: database and secrets whole, a sample of the images."),
    ] = "full",
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the report to this directory as well.")
    ] = None,
    junit: Junit = None,
    identity: Identity = None,
    repository: RepositoryName = None,
    json: Json = False,
) -> None:
    """Restore a recovery point into a sandbox, check it and measure how long it takes."""
    from drkit.actions.drill import run as action
    from drkit.cli.views import drill as show

    options = action.DrillOptions(point, random, oldest, level, report, identity, repository, junit)
    perform(
        context,
        "drill",
        json,
        lambda run: action.drill(run.settings, options, run.listener),
        show.drill,
        Recorded("drill", f"{level} from {repository}" if repository else level),
    )
