"""`drkit points` and `drkit show`: their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import (
    Json,
    PointArgument,
    RepositoryAddress,
    RepositoryCredentials,
    RepositoryName,
    RepositoryPassword,
    SiteName,
)
from drkit.cli.run import Run, perform

if TYPE_CHECKING:
    from drkit.cli.output import Output


def points(
    context: typer.Context,
    repository: RepositoryAddress = None,
    password_file: RepositoryPassword = None,
    repository_credentials: RepositoryCredentials = None,
    site: SiteName = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Confirm that a missing point, or the repository it was in, is gone for good."
        ),
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            metavar="POINT", help="Confirm that what production had lost by this point was lost on purpose."
        ),
    ] = None,
    take_over: Annotated[
        str | None,
        typer.Option(
            metavar="HOST", help="Confirm that this host is gone: its points so far are this one's."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List recovery points, newest first."""
    from drkit.actions import points as action
    from drkit.cli import bare

    def show(paper: Output, result: action.PointList) -> None:
        # Loaded here: as JSON it is shown without.
        from drkit.cli.views import results

        results.points(paper, result)

    def work(run: Run) -> action.PointList:
        origin = bare.origin(repository, password_file, repository_credentials, site)
        if origin is None:
            return action.points(run.settings, repository, forget or (), confirm, take_over)
        from drkit.actions.restore.bare import looking

        with looking(origin) as settings:
            return action.points(settings, None, forget or (), confirm, take_over)

    perform(context, "points", json, work, show, audited=bool(forget or confirm or take_over), brief=True)


def show_point(
    context: typer.Context,
    point: PointArgument,
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="PATTERN", help="Find images: `library`, `library/app:v*`."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Name what was there then and is not in the registry now.")
    ] = False,
    repository: RepositoryName = None,
    json: Json = False,
) -> None:
    """Show one recovery point: parts, evidence, closure, its drills; or find images in it."""
    from drkit.actions import points as action
    from drkit.cli.views import point as show

    if images is None and not compare:
        perform(context, "show", json, lambda run: action.show(run.settings, point, repository), show.point)
        return
    from drkit.actions.images import compare as comparing
    from drkit.actions.images import listing
    from drkit.cli.views import images as found
    from drkit.errors import UsageError

    def find(run: Run) -> listing.ImagesFound:
        if compare:
            raise UsageError("--images and --compare show different things", hint="leave one out")
        return listing.find(run.settings, point, images or "", run.listener, repository)

    if images is not None:
        perform(context, "show", json, find, found.found)
    else:
        perform(
            context,
            "show",
            json,
            lambda run: comparing.compare(run.settings, point, run.listener, repository),
            found.compared,
        )
