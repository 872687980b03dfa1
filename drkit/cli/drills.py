"""`drkit drills`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import Json, Junit, RepositoryName
from drkit.cli.run import Run, perform

if TYPE_CHECKING:
    from drkit.actions.drills.history import DrillList
    from drkit.actions.drills.summary import PeriodReport
    from drkit.actions.drills.verify import FolderVerified


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
        typer.Option(
            metavar="FILE",
            help="A public key to verify with; may be repeated. `verify` takes that of [drill] by default.",
        ),
    ] = None,
    repository: RepositoryName = None,
    json: Json = False,
) -> None:
    """List the drills, show one again, sum up a period, or verify a folder of reports."""
    from drkit.actions.drills import folder, history
    from drkit.actions.drills.period import parse
    from drkit.cli.views import drills as show
    from drkit.errors import UsageError

    given = {
        "--period": period,
        "--report": report,
        "--junit": junit,
        "--key": key,
        "--repository": repository,
    }

    def only(form: str, *allowed: str) -> None:
        for name, value in given.items():
            if value and name not in allowed:
                raise UsageError(
                    f"{name} does not go with {form}", hint="`drkit drills --help` shows the forms"
                )

    match what or []:
        case [] if period is not None:
            wanted = period

            def summary(run: Run) -> PeriodReport:
                only("--period", "--period", "--report", "--key", "--repository")
                return folder.of_period(
                    run.settings, parse(wanted), repository, report, key or (), run.listener
                )

            perform(context, "drills", json, summary, show.period)
        case []:

            def every(run: Run) -> DrillList:
                only("a list of all drills", "--repository")
                return history.drills(run.settings, repository)

            perform(context, "drills", json, every, show.drills)
        case ["verify", directory]:

            def verified(run: Run) -> FolderVerified:
                only("`drills verify`", "--key")
                return folder.verified(None if key else run.settings, Path(directory), key or ())

            perform(context, "drills", json, verified, show.verified)
        case [drill] if drill != "verify":

            def again(run: Run) -> folder.DrillShown:
                only("a drill's id", "--report", "--junit", "--key", "--repository")
                return folder.again(run.settings, drill, repository, report, junit, key or ())

            perform(context, "drills", json, again, show.again)
        case _:

            def refuse(_run: Run) -> None:
                raise UsageError("that is no form of `drills`", hint="`drkit drills --help` shows them")

            perform(context, "drills", json, refuse, lambda _paper, _result: None)
