"""`drkit backup`: its options."""

from __future__ import annotations

import typer

from drkit.cli.options import ClusterAddress, DryRun, Json
from drkit.cli.recording import Recorded
from drkit.cli.run import perform


def backup(
    context: typer.Context, dry_run: DryRun = False, cluster: ClusterAddress = None, json: Json = False
) -> None:
    """Take one recovery point."""
    from drkit.actions.backup import run as action
    from drkit.cli.views import results

    if dry_run:
        perform(context, "backup", json, lambda run: action.plan(run.settings), results.backup_plan)
    else:
        perform(
            context,
            "backup",
            json,
            lambda run: action.backup(run.settings, run.listener, cluster),
            results.backup,
            Recorded("backup"),
        )
