"""`drkit keys`: parsing and dispatch of the verbs about custody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drkit.cli.perform import Run, perform

app = typer.Typer(
    help="Who can open the secrets: make, list, check and change keys; print what must be kept elsewhere.",
    rich_markup_mode=None,
    invoke_without_command=True,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Identities = Annotated[
    list[Path] | None,
    typer.Option("--identity", metavar="FILE", help="A further age identity at hand; may be repeated."),
]


@app.callback()
def keys(context: typer.Context) -> None:
    """Without a command: what there is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def generate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: operator, drill host, offline.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The identity file to make.")],
    json: Json = False,
) -> None:
    """Make an age identity; never over a file that is there."""
    from drkit.actions import keys as action
    from drkit.cli import show_keys as show

    perform(context, "keys generate", json, lambda _run: action.generate(name, output), show.generate)


@app.command(name="list")
def list_keys(context: typer.Context, identity: Identities = None, json: Json = False) -> None:
    """Recipients by name and kind, and which identity at hand opens what they are sent."""
    from drkit.actions import keys as action
    from drkit.cli import show_keys as show

    given = tuple(identity or ())
    perform(context, "keys list", json, lambda run: action.list_keys(run.settings, given), show.list_keys)


@app.command()
def check(
    context: typer.Context,
    point: Annotated[
        str, typer.Argument(metavar="[POINT]", help="Default: the newest sealed point.")
    ] = "latest",
    repository: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another repository than the primary.")
    ] = None,
    identity: Identities = None,
    json: Json = False,
) -> None:
    """Really open the newest bundle, in memory: who can, and who has not shown it?"""
    from drkit.actions import keys as action
    from drkit.cli import show_keys as show

    def work(run: Run) -> action.KeyCheck:
        return action.check(run.settings, point, repository, tuple(identity or ()))

    perform(context, "keys check", json, work, show.check)


@app.command()
def rotate(
    context: typer.Context,
    add: Annotated[
        list[str] | None, typer.Option(metavar="RECIPIENT", help="'age1... operator'; may be repeated.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A recipient's name or key; may be repeated.")
    ] = None,
    points: Annotated[
        bool, typer.Option("--points", help="Encrypt the secrets of the points that are there anew.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Then remove every byte of the old bundles; may rewrite much.")
    ] = False,
    identity: Identities = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Other recipients for new points and, with --points, for those that are there."""
    from drkit.actions import rotate as action
    from drkit.cli import ask
    from drkit.cli import show_keys as show

    wishes = action.Wishes(tuple(add or ()), tuple(remove or ()), points, prune, tuple(identity or ()))

    def work(run: Run) -> action.Rotation:
        found = action.plan(run.settings, run.config_path, wishes)
        if dry_run:
            return found
        if not yes:
            ask.confirm(lambda console: show.rotate(console, found), "the rotation")
        return action.rotate(run.settings, found, wishes, run.listener)

    perform(context, "keys rotate", json, work, show.rotate)


@app.command()
def escrow(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write the pages.")] = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Put the secrets themselves on the page.")
    ] = False,
    split: Annotated[
        str | None, typer.Option(metavar="K-of-N", help="One page a holder; any K bring the secrets back.")
    ] = None,
    identity: Identities = None,
    json: Json = False,
) -> None:
    """Print what must survive outside of this machine, and how everything comes back."""
    from drkit.actions import escrow as action
    from drkit.cli import show_keys as show

    wishes = action.Wishes(output, with_secrets, split, tuple(identity or ()))

    def work(run: Run) -> action.Escrow:
        return action.escrow(run.settings, run.config_path, wishes)

    perform(context, "keys escrow", json, work, show.escrow)


@app.command()
def combine(
    context: typer.Context,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where to write what comes back.")],
    pages: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Text pages of holders; default: stdin.")
    ] = None,
    json: Json = False,
) -> None:
    """Put together the secrets that were split for several holders."""
    from drkit.actions import keys as action
    from drkit.cli import ask
    from drkit.cli import show_keys as show

    def work(_run: Run) -> action.Combined:
        typed = "" if pages else ask.shares()
        return action.combine(tuple(pages or ()), output, typed)

    perform(context, "keys combine", json, work, show.combine)
