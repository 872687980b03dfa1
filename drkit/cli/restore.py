"""`drkit restore`: its options, and which way they lead."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from drkit.actions.restore.options import RestoreOptions, What
from drkit.actions.restore_images.options import ImageOptions
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
    from drkit.actions.restore_images.plan import ImagesPlan


Only = Annotated[What | None, typer.Option(help="Restore one part alone.")]
Root = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Put files below DIR instead of their places.")
]
DatabaseDsn = Annotated[
    str | None, typer.Option(metavar="DSN", help="The server, if it is not the one in the configuration.")
]
DatabasePassword = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A file with the password for the database server.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Rename what is in the way; nothing is deleted.")]
Hostname = Annotated[str, typer.Option(metavar="NAME", help="Let the restored harbor.yml say this host.")]
Image = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Push images back into a registry that runs: a project, repositories, tags or a digest.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        metavar="TARGET", help="Of --image: https://HOST or oci:DIR instead of the site's own registry."
    ),
]
Rename = Annotated[
    list[str] | None,
    typer.Option(metavar="OLD=NEW", help="Of --image: another name at the target; may be repeated."),
]
Credentials = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Of --image: a file with user:password for the registry."),
]
CaFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Of --image: the CA certificates to verify the registry with."),
]


def restore(
    context: typer.Context,
    point: PointArgument,
    only: Only = None,
    root: Root = None,
    database_dsn: DatabaseDsn = None,
    database_password_file: DatabasePassword = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    replace: Replace = False,
    identity: Identity = None,
    hostname: Hostname = "",
    repository: RepositoryAddress = None,
    password_file: RepositoryPassword = None,
    repository_credentials: RepositoryCredentials = None,
    site: SiteName = None,
    cluster: ClusterAddress = None,
    image: Image = None,
    to: To = None,
    rename: Rename = None,
    credentials: Credentials = None,
    ca_file: CaFile = None,
    json: Json = False,
) -> None:
    """Restore a recovery point for real, or single images of it into a registry that runs."""
    of_images = {"--to": to, "--rename": rename, "--credentials": credentials, "--ca-file": ca_file}
    of_all = {
        "--only": only,
        "--root": root,
        "--database-dsn": database_dsn,
        "--database-password-file": database_password_file,
        "--identity": identity,
        "--hostname": hostname,
        "--password-file": password_file,
        "--repository-credentials": repository_credentials,
        "--site": site,
        "--cluster": cluster,
    }
    call = _Call(context, dry_run=dry_run, yes=yes, json=json)
    if image is not None:
        renamed = tuple(rename or ())
        call.images(
            ImageOptions(point, image, to, renamed, replace, credentials, ca_file, repository), of_all
        )
        return
    options = RestoreOptions(
        point,
        only,
        None if root == Path("/") else root,
        database_dsn,
        replace,
        identity,
        database_password_file,
        repository=repository,
        hostname=hostname,
        cluster=cluster,
    )
    call.all(options, _Address(repository, password_file, repository_credentials, site), of_images)


class _Address(NamedTuple):
    """Where the points are, where there is no configuration: see `bare.origin`."""

    repository: str | None
    password_file: Path | None
    credentials: Path | None
    site: str | None


@dataclass(frozen=True)
class _Call:
    """How the command was called, whichever way it leads."""

    context: typer.Context
    dry_run: bool
    yes: bool
    json: bool

    def all(self, options: RestoreOptions, address: _Address, of_images: Mapping[str, object]) -> None:
        """Restore a point, with the configuration that is here or the one that is in it."""
        from drkit.cli.views import restore as show

        def work(run: Run) -> RestoreResult | RestorePlan:
            _refuse(of_images, "goes with --image alone")
            with contextlib.ExitStack() as stack:
                return self._all(stack, options, address, run)

        perform(self.context, "restore", self.json, work, show.restore, audited=not self.dry_run)

    def _all(
        self, stack: contextlib.ExitStack, options: RestoreOptions, address: _Address, run: Run
    ) -> RestoreResult | RestorePlan:
        from drkit.actions.restore import bare as nothing_here
        from drkit.actions.restore import plan as planning
        from drkit.actions.restore import run as action
        from drkit.cli import bare, prompts
        from drkit.cli.views import restore as show

        origin = bare.origin(*address)
        if origin is None:
            settings = run.settings.unlimited()
        else:
            server_given = options.database_dsn is not None
            found = nothing_here.configured(
                origin, options.point, options.identity, options.root, server_given=server_given
            )
            settings = stack.enter_context(found)
            options = replaced(options, repository=None, bare=True)
        plan = planning.plan(settings, options)
        if self.dry_run:
            return plan
        if not self.yes:
            prompts.confirm(lambda paper: show.restore_plan(paper, plan), "the restore")
        return action.restore(settings, plan, run.listener)

    def images(self, options: ImageOptions, of_all: Mapping[str, object]) -> None:
        """Push images of a point into a registry that runs."""
        from drkit.actions.restore_images import run as action
        from drkit.cli import prompts
        from drkit.cli.views import restored_images as show

        def look(run: Run) -> ImagesPlan:
            _refuse(of_all, "is not for --image")
            return action.look(run.settings.unlimited(), options, run.listener)

        def ask(plan: ImagesPlan) -> None:
            if not self.yes:
                prompts.confirm(lambda paper: show.plan(paper, plan), "the push")

        def work(run: Run) -> action.ImagesRestored:
            _refuse(of_all, "is not for --image")
            return action.restore(run.settings.unlimited(), options, ask, run.listener)

        if self.dry_run:
            perform(self.context, "restore", self.json, look, show.plan)
        else:
            perform(self.context, "restore", self.json, work, show.restored, audited=True)


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Raise UsageError for the first of the options that was given."""
    given = next((name for name, value in options.items() if value), None)
    if given:
        raise UsageError(f"{given} {why}", hint="`drkit restore --help` shows what goes together")
