"""`drkit keys`: parsing and dispatch of the verbs about custody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drkit.cli.options import DryRun, Json, RepositoryName, Yes
from drkit.cli.recording import Recorded
from drkit.cli.run import Run, perform

app = typer.Typer(
    help="Generate, list, check and rotate the keys of the secrets; print what must be kept elsewhere.",
    rich_markup_mode=None,
    invoke_without_command=True,
)

Identities = Annotated[
    list[Path] | None,
    typer.Option("--identity", metavar="FILE", help="One more age identity to use; may be repeated."),
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
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to create.")],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Whose identity it is, such as operator, drill host or offline."
        ),
    ] = None,
    signing: Annotated[
        bool, typer.Option("--signing", help="Instead of an identity: a key to sign reports of drills with.")
    ] = False,
    json: Json = False,
) -> None:
    """Create an age identity, or a key for signatures, in a new file."""
    from drkit.actions.keys import custody as action
    from drkit.cli.views import keys as show
    from drkit.errors import UsageError

    if signing:
        perform(
            context,
            "keys generate",
            json,
            lambda _run: action.generate_signing(output),
            show.generate_signing,
        )
        return

    def work() -> action.Generated:
        if name is None:
            raise UsageError("an identity has a NAME", hint="such as operator; or give --signing")
        return action.generate(name, output)

    perform(context, "keys generate", json, lambda _run: work(), show.generate)


@app.command(name="list")
def list_keys(context: typer.Context, identity: Identities = None, json: Json = False) -> None:
    """List the recipients, and which identities at hand decrypt what is encrypted to them."""
    from drkit.actions.keys import custody as action
    from drkit.cli.views import keys as show

    given = tuple(identity or ())
    perform(context, "keys list", json, lambda run: action.list_keys(run.settings, given), show.list_keys)


@app.command()
def check(
    context: typer.Context,
    point: Annotated[
        str, typer.Argument(metavar="[POINT]", help="Default: the newest sealed point.")
    ] = "latest",
    repository: RepositoryName = None,
    identity: Identities = None,
    json: Json = False,
) -> None:
    """Decrypt the newest bundle in memory, and say which recipients have been shown to be able to."""
    from drkit.actions.keys import custody as action
    from drkit.cli.views import keys as show

    def work(run: Run) -> action.KeyCheck:
        return action.check(run.settings, point, repository, tuple(identity or ()))

    perform(context, "keys check", json, work, show.check, audited=True)


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
        bool, typer.Option("--points", help="Encrypt the secrets of the existing points again.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Then remove every byte of the old bundles; may rewrite much of the repository."
        ),
    ] = False,
    identity: Identities = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Change the recipients of new points and, with --points, of the existing ones."""
    from drkit.actions.keys import rotate as action
    from drkit.cli import prompts
    from drkit.cli.views import keys as show

    options = action.RotateOptions(
        tuple(add or ()), tuple(remove or ()), points, prune, tuple(identity or ())
    )

    def work(run: Run) -> action.Rotation:
        found = action.plan(run.settings, run.config_path, options)
        if dry_run:
            return found
        if not yes:
            prompts.confirm(lambda console: show.rotate(console, found), "the rotation")
        return action.rotate(run.settings, found, options, run.listener)

    recorded = None if dry_run else Recorded("keys rotate", scope="--points" if points else "")
    perform(context, "keys rotate", json, work, show.rotate, recorded)


@app.command()
def escrow(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The directory to write the pages to.")
    ] = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Put the secrets themselves on the page.")
    ] = False,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="K-of-N", help="Split the secrets among N holders; any K of them bring the secrets back."
        ),
    ] = None,
    identity: Identities = None,
    json: Json = False,
) -> None:
    """Print what must be kept outside this machine, and how everything is restored."""
    from drkit.actions.keys import escrow as action
    from drkit.cli.views import keys as show

    options = action.EscrowOptions(output, with_secrets, split, tuple(identity or ()))

    def work(run: Run) -> action.Escrow:
        return action.escrow(run.settings, run.config_path, options)

    perform(context, "keys escrow", json, work, show.escrow, audited=True)


@app.command()
def combine(
    context: typer.Context,
    output: Annotated[Path, typer.Option(metavar="DIR", help="The directory to write the secrets to.")],
    pages: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Text pages of the holders. Default: standard input."),
    ] = None,
    json: Json = False,
) -> None:
    """Combine the secrets that were split among several holders."""
    from drkit.actions.keys import custody as action
    from drkit.cli import prompts
    from drkit.cli.views import keys as show

    def work(_run: Run) -> action.Combined:
        typed = "" if pages else prompts.shares()
        return action.combine(tuple(pages or ()), output, typed)

    perform(context, "keys combine", json, work, show.combine, audited=True)
