"""`drkit drills`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import Json, Junit, RepositoryName
from drkit.cli.run import Run, perform

if TYPE_CHECKING:
    from drkit.actions.drills.summary import PeriodReport


def drills(
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID | verify DIR]",
            help="One drill again, or `verify` and a folder of reports. Default: a list of all.",
        ),
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(metavar="PERIOD", help="A period's summary for the auditor: 2026Q4, 2026 or 2026-11."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the summary, or the report, to this directory.")
    ] = None,
    junit: Junit = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="With `verify`: a public key; may be repeated. Default: [drill]."),
    ] = None,
    repository: RepositoryName = None,
    json: Json = False,
) -> None:
    """List the drills, show one again, sum up a period, or verify a folder of reports."""
    from drkit.actions.drills import folder, history
    from drkit.actions.drills.period import parse
    from drkit.cli.views import drills as show
    from drkit.errors import UsageError

    match what or []:
        case [] if period is not None:
            wanted = period

            def summary(run: Run) -> PeriodReport:
                return folder.of_period(run.settings, parse(wanted), repository, report, run.listener)

            perform(context, "drills", json, summary, show.period)
        case []:
            perform(
                context, "drills", json, lambda run: history.drills(run.settings, repository), show.drills
            )
        case ["verify", directory]:
            perform(
                context,
                "drills",
                json,
                lambda run: folder.verified(None if key else run.settings, Path(directory), key or ()),
                show.verified,
            )
        case [drill] if drill != "verify":

            def again(run: Run) -> folder.DrillShown:
                return folder.again(run.settings, drill, repository, report, junit)

            perform(context, "drills", json, again, show.again)
        case _:

            def refuse(_run: Run) -> None:
                raise UsageError("that is no form of `drills`", hint="`drkit drills --help` shows them")

            perform(context, "drills", json, refuse, lambda _paper, _result: None)
