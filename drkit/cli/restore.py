"""`drkit restore`: its options, and which way they lead."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from drkit.cli.options import (
    DryRun,
    Identity,
    Json,
    PointArgument,
    RepositoryAddress,
    RepositoryCredentials,
    RepositoryPassword,
    SiteName,
    Yes,
)
from drkit.cli.run import Run, perform

if TYPE_CHECKING:
    from drkit.actions.restore.plan import RestorePlan
    from drkit.actions.restore.run import RestoreResult


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
        Path | None, typer.Option(metavar="FILE", help="A file with the password for the database server.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Rename what is in the way; nothing is deleted.")
    ] = False,
    identity: Identity = None,
    hostname: Annotated[
        str,
        typer.Option(metavar="NAME", help="Let the restored harbor.yml say this host."),
    ] = "",
    repository: RepositoryAddress = None,
    password_file: RepositoryPassword = None,
    repository_credentials: RepositoryCredentials = None,
    site: SiteName = None,
    json: Json = False,
) -> None:
    """Restore a recovery point for real."""
    from drkit.actions.restore import plan as planning
    from drkit.actions.restore import run as action
    from drkit.actions.restore.bare import configured
    from drkit.cli import bare, prompts
    from drkit.cli.views import restore as show

    top = None if root == Path("/") else root

    def work(run: Run) -> RestoreResult | RestorePlan:
        origin = bare.origin(repository, password_file, repository_credentials, site)
        with contextlib.ExitStack() as stack:
            settings = (
                stack.enter_context(configured(origin, point, identity, top))
                if origin
                else run.settings.with_primary(repository)
            )
            options = planning.RestoreOptions(
                point,
                only,
                top,
                database_dsn,
                replace,
                identity,
                database_password_file,
                bare=bool(origin),
                hostname=hostname,
            )
            plan = planning.plan(settings, options)
            if dry_run:
                return plan
            if not yes:
                prompts.confirm(lambda paper: show.restore_plan(paper, plan), "the restore")
            return action.restore(settings, plan, run.listener)

    perform(context, "restore", json, work, show.restore)
