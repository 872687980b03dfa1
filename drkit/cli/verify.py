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
    cluster: ClusterAddress = None,
    json: Json = False,
) -> None:
    """Check the integrity of the repository and of the vault."""
    from drkit.actions import verify as action
    from drkit.cli.views import results

    perform(
        context,
        "verify",
        json,
        lambda run: action.verify(run.settings, repository, read_data_subset, run.listener, cluster),
        results.verify,
        Recorded("verify", repository or "", action.thorough(read_data_subset)),
    )
