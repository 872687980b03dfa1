"""`drkit drill`: its options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from drkit.cli.options import ClusterAddress, Identity, Json, Junit, RepositoryName
from drkit.cli.recording import Recorded
from drkit.cli.run import Run, perform
from drkit.errors import UsageError

if TYPE_CHECKING:
    from drkit.model import DrillReport


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
    in_turn: Annotated[
        bool, typer.Option("--in-turn", help="The repository whose last drill is longest ago.")
    ] = False,
    upgrade_to: Annotated[
        str | None,
        typer.Option("--upgrade-to", metavar="TAG", help="Let this newer Harbor migrate the restored copy."),
    ] = None,
    cluster: ClusterAddress = None,
    json: Json = False,
) -> None:
    """Restore a recovery point into a sandbox, check it and measure how long it takes."""
    from drkit.actions.drill import run as action
    from drkit.actions.drill import turn
    from drkit.actions.drill.options import DrillOptions
    from drkit.cli.views import drill as show

    options = DrillOptions(
        point, random, oldest, level, report, identity, repository, junit, upgrade_to, cluster
    )

    def recorded(run: Run) -> Recorded:
        nonlocal options
        if in_turn and repository is None:
            options = replace(options, repository=turn.choose(run.settings, level))
        from_ = f" from {options.repository}" if options.repository else ""
        return Recorded("drill", f"{level}{from_}")

    def work(run: Run) -> DrillReport:
        if in_turn and repository is not None:
            raise UsageError(
                "--in-turn chooses the repository, and --repository names one", hint="leave one out"
            )
        return action.drill(run.settings, options, run.listener)

    perform(context, "drill", json, work, show.drill, recorded)
