"""`drkit expire`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import DryRun, Json
from drkit.cli.recording import Recorded
from drkit.cli.run import Run, perform

if TYPE_CHECKING:
    from drkit.cli.output import Output


def expire(
    context: typer.Context,
    dry_run: DryRun = False,
    repository: Annotated[
        str | None,
        typer.Option("--repository", metavar="NAME", help="Only this repository. Default: all of them."),
    ] = None,
    forget_repository: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Confirm that a repository is gone for good: the vault need not keep its blobs.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Apply retention, and say why each point is kept or removed."""
    from drkit.actions.expire import run as action

    def show(paper: Output, result: action.ExpireResult) -> None:
        # Loaded here: as JSON it is shown without.
        from drkit.cli.views import results

        results.expire(paper, result)

    def work(run: Run) -> action.ExpireResult:
        return action.expire(run.settings, dry_run=dry_run, forget=forget_repository, repository=repository)

    recorded = None if dry_run else Recorded("expire", repository or "")
    perform(context, "expire", json, work, show, recorded)
