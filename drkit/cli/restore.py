"""`drkit restore`: its options, and which way they lead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drkit.cli.options import DryRun, Identity, Json, PointArgument, RepositoryName, Yes
from drkit.cli.run import Run, perform


def restore(
    context: typer.Context,
    point: PointArgument,
    only: Annotated[
        Literal["database", "blobs", "secrets"] | None, typer.Option(help="Restore one part alone.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put files below DIR instead of their places.")
    ] = None,
    database_dsn: Annotated[
        str | None, typer.Option(metavar="DSN", help="The server, if it is not the one in the configuration.")
    ] = None,
    database_password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file with the password for --database-dsn.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Rename what is in the way; nothing is deleted.")
    ] = False,
    identity: Identity = None,
    repository: RepositoryName = None,
    json: Json = False,
) -> None:
    """Restore a recovery point for real."""
    from drkit.actions.restore import plan as planning
    from drkit.actions.restore import run as action
    from drkit.cli import prompts
    from drkit.cli.views import restore as show

    options = planning.RestoreOptions(
        point, only, root, database_dsn, replace, identity, database_password_file, repository
    )
    if dry_run:
        perform(context, "restore", json, lambda run: planning.plan(run.settings, options), show.restore_plan)
        return

    def work(run: Run) -> action.RestoreResult:
        plan = planning.plan(run.settings, options)
        if not yes:
            prompts.confirm(lambda paper: show.restore_plan(paper, plan), "the restore")
        return action.restore(run.settings, plan, run.listener)

    perform(context, "restore", json, work, show.restore)
