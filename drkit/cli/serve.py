"""`drkit serve`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drkit.cli.options import Identity, RepositoryName
from drkit.cli.run import perform


def serve(
    context: typer.Context,
    point: Annotated[
        str | None, typer.Argument(metavar="[POINT]", help="Default: the newest sealed point.")
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen: an IP address, with a port.")
    ] = "127.0.0.1:5000",
    only: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Serve these repositories alone, such as `library/*`."),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="HTTPS also on this machine's own address; elsewhere it always is.")
    ] = False,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file with the password that clients must give.")
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Let everybody pull who can reach the address.")
    ] = False,
    identity: Identity = None,
    repository: RepositoryName = None,
) -> None:
    """Serve the images of a recovery point as a read-only registry, until interrupted."""
    from drkit.actions import serve as action
    from drkit.cli.views import serve as show

    options = action.ServeOptions(point, listen, only, tls, password_file, anonymous, identity, repository)
    perform(
        context,
        "serve",
        False,
        lambda run: action.serve(run.settings.unlimited(), options, show.announce),
        show.ended,
        audited=True,
    )
