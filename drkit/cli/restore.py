"""`drkit restore`: its options, and which way they lead."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from drkit.cli.options import (
    ClusterAddress,
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
from drkit.errors import UsageError

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
    cluster: ClusterAddress = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Push images back into a registry that runs: a project, repositories, tags or a digest.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET", help="Of --image: https://HOST or oci:DIR instead of the site's own registry."
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Of --image: another name at the target; may be repeated."),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of --image: a file with user:password for the registry."),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of --image: the CA certificates to verify the registry with."),
    ] = None,
    json: Json = False,
) -> None:
    """Restore a recovery point for real, or single images of it into a registry that runs."""
    if image is not None:
        parts = {
            "--only": only,
            "--root": root,
            "--database-dsn": database_dsn,
            "--database-password-file": database_password_file,
            "--identity": identity,
            "--hostname": hostname or None,
            "--password-file": password_file,
            "--repository-credentials": repository_credentials,
            "--site": site,
            "--cluster": cluster,
        }
        wanted = (point, image, to, tuple(rename or ()), replace, credentials, ca_file, repository)
        _images(context, wanted, parts, dry_run=dry_run, yes=yes, json=json)
        return
    of_images = {"--to": to, "--rename": rename, "--credentials": credentials, "--ca-file": ca_file}
    from drkit.actions.restore import plan as planning
    from drkit.actions.restore import run as action
    from drkit.actions.restore.bare import configured
    from drkit.cli import bare, prompts
    from drkit.cli.views import restore as show

    top = None if root == Path("/") else root

    def work(run: Run) -> RestoreResult | RestorePlan:
        _refuse(of_images, "goes with --image alone")
        origin = bare.origin(repository, password_file, repository_credentials, site)
        with contextlib.ExitStack() as stack:
            settings = (
                run.settings.unlimited()
                if origin is None
                else stack.enter_context(
                    configured(origin, point, identity, top, server_given=database_dsn is not None)
                )
            )
            options = planning.RestoreOptions(
                point,
                only,
                top,
                database_dsn,
                replace,
                identity,
                database_password_file,
                repository=None if origin else repository,
                bare=bool(origin),
                hostname=hostname,
                cluster=cluster,
            )
            plan = planning.plan(settings, options)
            if dry_run:
                return plan
            if not yes:
                prompts.confirm(lambda paper: show.restore_plan(paper, plan), "the restore")
            return action.restore(settings, plan, run.listener)

    perform(context, "restore", json, work, show.restore, audited=not dry_run)


def _images(
    context: typer.Context,
    wanted: tuple[str, str, str | None, tuple[str, ...], bool, Path | None, Path | None, str | None],
    parts: Mapping[str, object],
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
) -> None:
    from drkit.actions.restore_images import run as action
    from drkit.actions.restore_images.plan import ImageOptions, ImagesPlan
    from drkit.cli import prompts
    from drkit.cli.views import restored_images as show

    options = ImageOptions(*wanted)

    def look(run: Run) -> ImagesPlan:
        _refuse(parts, "is not for --image")
        return action.look(run.settings.unlimited(), options, run.listener)

    def ask(plan: ImagesPlan) -> None:
        if not yes:
            prompts.confirm(lambda paper: show.plan(paper, plan), "the push")

    def work(run: Run) -> action.ImagesRestored:
        _refuse(parts, "is not for --image")
        return action.restore(run.settings.unlimited(), options, ask, run.listener)

    if dry_run:
        perform(context, "restore", json, look, show.plan)
    else:
        perform(context, "restore", json, work, show.restored, audited=True)


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Raise UsageError for the first of the options that was given."""
    given = next((name for name, value in options.items() if value), None)
    if given:
        raise UsageError(f"{given} {why}", hint="`drkit restore --help` shows what goes together")
