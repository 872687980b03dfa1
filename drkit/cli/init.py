"""`drkit init`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drkit.cli.options import Json
from drkit.cli.run import perform


def init(
    context: typer.Context,
    harbor: Annotated[Path | None, typer.Option(metavar="FILE", help="Harbor's harbor.yml.")] = None,
    registry: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of another registry: its config.yml, or zot's config.json."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Its root directory here, where FILE has that of a container."),
    ] = None,
    repository: Annotated[str | None, typer.Option(metavar="URL", help="The restic repository.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration to write.")] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="drkit's state directory.")] = None,
    secret: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="One more file or directory to protect; may be repeated."),
    ] = None,
    vault: Annotated[
        str | None,
        typer.Option(metavar="URL", help="For images in a bucket: the bucket to keep them in."),
    ] = None,
    vault_credentials: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The vault's keys, as KEY=value lines.")
    ] = None,
    vault_region: Annotated[
        str | None, typer.Option(metavar="REGION", help="The vault's region, if its service needs one.")
    ] = None,
    database_dsn: Annotated[
        str | None, typer.Option(metavar="DSN", help="The database, if harbor.yml does not say where it is.")
    ] = None,
    cosign_password: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file with the password of cosign's key, for drills."),
    ] = None,
    copy_to: Annotated[
        str | None,
        typer.Option("--copy-to", metavar="URL", help="A further repository, also for a site that is there."),
    ] = None,
    copy_credentials: Annotated[
        Path | None,
        typer.Option("--copy-credentials", metavar="FILE", help="Its credentials, as KEY=value lines."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a configuration that works, and create the keys that it needs."""
    from drkit.actions.init import further
    from drkit.actions.init import run as action
    from drkit.actions.init.plan import InitOptions
    from drkit.cli import prompts
    from drkit.cli.views import results
    from drkit.config import find_config

    def work() -> action.InitResult | further.FurtherRepository:
        there = find_config(output or context.obj.config)
        if copy_to is not None and there.exists() and not (harbor or registry or repository):
            return further.add(there, copy_to, copy_credentials)
        wanted = InitOptions(
            harbor=harbor,
            registry=registry,
            root=root,
            repository=repository,
            output=output,
            state=state,
            further_secrets=tuple(secret or ()),
            database_dsn=database_dsn,
            cosign_password=cosign_password,
            vault=vault,
            vault_credentials=vault_credentials,
            vault_region=vault_region,
            copy_to=copy_to,
            copy_credentials=copy_credentials,
        )
        return action.init(prompts.complete(wanted, context.obj.config))

    perform(context, "init", json, lambda _run: work(), results.init)
