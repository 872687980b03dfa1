"""`drkit audit`: its options, and what is asked before anything is repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import ClusterAddress, DryRun, Json, RepositoryName, Yes
from drkit.cli.run import perform

if TYPE_CHECKING:
    from drkit.actions.audit.repair import RepairPlan


def audit(
    context: typer.Context,
    read_data_subset: Annotated[
        str | None, typer.Option(metavar="SUBSET", help="Hash this share of the blobs too: 5%, 1/7 or 2G.")
    ] = None,
    repair: Annotated[
        str | None,
        typer.Option(metavar="POINT", help="Put missing and damaged blobs back from this recovery point."),
    ] = None,
    repository: RepositoryName = None,
    cluster: ClusterAddress = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Check whether database and images of the running registry belong together."""
    from drkit.actions.audit import run as action
    from drkit.cli import prompts
    from drkit.cli.views import audit as show

    options = action.AuditOptions(read_data_subset, repair, dry_run, repository, cluster)

    def agree(plan: RepairPlan) -> None:
        if not yes:
            prompts.confirm(lambda paper: show.plan(paper, plan), "the repair")

    perform(
        context,
        "audit",
        json,
        lambda run: action.audit(run.settings, options, agree, run.listener),
        show.audit,
        audited=repair is not None and not dry_run,
    )
