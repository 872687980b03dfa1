"""`drkit verify`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from drkit.cli.options import ClusterAddress, Json, RepositoryName
from drkit.cli.recording import Recorded
from drkit.cli.run import perform


def verify(
    context: typer.Context,
    repository: RepositoryName = None,
    read_data_subset: Annotated[
        str | None, typer.Option(metavar="SUBSET", help="Read this share of the data too: 5%, 1/7 or 2G.")
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="DURATION", help="Read what was not read for longest, for so long: 2h or 30m."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--bytes", metavar="SIZE", help="Read what was not read for longest, so much: 500G."),
    ] = None,
    cluster: ClusterAddress = None,
    json: Json = False,
) -> None:
    """Check the integrity of the repository and of the vault."""
    from drkit.actions import verify as action
    from drkit.actions.reread import budget
    from drkit.cli.views import results

    options = action.VerifyOptions(repository, read_data_subset, budget.limits(span, size), cluster)
    perform(
        context,
        "verify",
        json,
        lambda run: action.verify(run.settings, options, run.listener),
        results.verify,
        Recorded("verify", repository or "", action.thorough(options)),
    )
