"""`drkit runbook`: its options, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import Json
from drkit.cli.recording import Recorded
from drkit.cli.run import Run, perform
from drkit.errors import UsageError

if TYPE_CHECKING:
    from drkit.actions.runbook.run import RunbookFiles
    from drkit.cli.output import Output
    from drkit.reports.runbooks import Runbook


def runbook(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this one, such as `total-loss`; default: write all."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write them to this directory.")
    ] = None,
    practised: Annotated[
        bool, typer.Option("--practised", help="Note that this one was practised today.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the runbooks of this site: what to do when all, or one part, is lost."""
    from drkit.actions.runbook import run as action

    if name is None:

        def work(run: Run) -> RunbookFiles:
            if practised:
                raise UsageError("--practised needs the name of a runbook", hint="`drkit runbook` lists them")
            return action.write(run.settings, run.config_path, output)

        perform(context, "runbook", json, work, show_files, Recorded("runbook"))
    elif practised:
        perform(context, "runbook", json, lambda run: action.practise(run.settings, name), show_practised)
    else:

        def work_on_one(run: Run) -> Runbook:
            if output:
                raise UsageError("--output writes all runbooks", hint="leave NAME or --output out")
            return action.one(run.settings, run.config_path, name)

        perform(context, "runbook", json, work_on_one, show_one)


def show_files(paper: Output, found: RunbookFiles) -> None:
    """What was written, and what to do with it."""
    from drkit.cli.output import Table
    from drkit.cli.views.layout import warn

    table = Table("runbook", "for when")
    for each in found.runbooks:
        table.add_row(each.name, each.title)
    paper.print(table)
    paper.print()
    paper.line(f"Written to {found.directory}, and as one page to {found.page}")
    paper.print("Print it, or keep it where it can be read when this machine is gone.")
    warn(paper, found.warnings)


def show_one(paper: Output, found: Runbook) -> None:
    """The runbook itself, to be read or piped on."""
    paper.line(found.text, end="")


def show_practised(paper: Output, name: str) -> None:
    """That it was noted."""
    paper.print(f"Noted that {name} was practised today; `drkit runbook` writes it into the runbooks.")
