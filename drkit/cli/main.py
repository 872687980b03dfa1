"""`drkit`: parsing and dispatch. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from drkit.cli import keys, streams
from drkit.cli.perform import Options, Run, perform, report_usage

app = typer.Typer(
    name="drkit",
    help="Backup and disaster recovery for self-hosted container registries, proven by restoring.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(keys.app, name="keys")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
PointArgument = Annotated[str, typer.Argument(metavar="POINT", help="An id, a prefix of one, or `latest`.")]
Identity = Annotated[
    Path | None, typer.Option("--identity", metavar="FILE", help="The age identity that opens the secrets.")
]
RepositoryName = Annotated[
    str | None, typer.Option("--repository", metavar="NAME", help="Another repository than the primary.")
]


def _version(wanted: bool) -> None:
    if wanted:
        from drkit import __version__

        typer.echo(f"drkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Default: $DRKIT_CONFIG, else /etc/drkit/drkit.toml."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each outside command.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing unless something is wrong.")
    ] = False,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.obj = Options(config, verbose, quiet)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def init(
    context: typer.Context,
    harbor: Annotated[Path | None, typer.Option(metavar="FILE", help="Harbor's harbor.yml.")] = None,
    repository: Annotated[str | None, typer.Option(metavar="URL", help="Where restic keeps backups.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration to write.")] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="drkit's state directory.")] = None,
    secret: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="A further file to protect; may be repeated.")
    ] = None,
    vault: Annotated[
        str | None,
        typer.Option(metavar="URL", help="For images in a bucket: the bucket that shall keep them."),
    ] = None,
    vault_credentials: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The vault's keys, as KEY=value lines.")
    ] = None,
    vault_region: Annotated[
        str | None, typer.Option(metavar="REGION", help="The vault's region, where its service asks.")
    ] = None,
    database_dsn: Annotated[
        str | None, typer.Option(metavar="DSN", help="The database, if harbor.yml does not say where it is.")
    ] = None,
    cosign_password: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holds the password of cosign's key, for drills.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a configuration that works, and make the keys that it needs."""
    from drkit.actions import init as action
    from drkit.actions.init_plan import Wishes
    from drkit.cli import ask, show

    def work() -> action.InitResult:
        wanted = Wishes(
            harbor,
            repository,
            output,
            state,
            tuple(secret or ()),
            database_dsn,
            cosign_password=cosign_password,
            vault=vault,
            vault_credentials=vault_credentials,
            vault_region=vault_region,
        )
        return action.init(ask.complete(wanted, context.obj.config))

    perform(context, "init", json, lambda _run: work(), show.init)


@app.command()
def doctor(context: typer.Context, json: Json = False) -> None:
    """Look before anything runs: tools, reachability, rights, space, keys, clock."""
    from drkit.actions import doctor as action
    from drkit.cli import show

    perform(context, "doctor", json, lambda run: action.doctor(run.settings), show.doctor)


@app.command()
def backup(context: typer.Context, dry_run: DryRun = False, json: Json = False) -> None:
    """Take one recovery point."""
    from drkit.actions import backup as action
    from drkit.cli import show

    if dry_run:
        perform(context, "backup", json, lambda run: action.plan(run.settings), show.backup_plan)
    else:
        perform(context, "backup", json, lambda run: action.backup(run.settings, run.listener), show.backup)


@app.command()
def points(context: typer.Context, repository: RepositoryName = None, json: Json = False) -> None:
    """List recovery points, newest first."""
    from drkit.actions import points as action
    from drkit.cli import show

    perform(context, "points", json, lambda run: action.points(run.settings, repository), show.points)


@app.command(name="show")
def show_point(context: typer.Context, point: PointArgument, json: Json = False) -> None:
    """Show one recovery point: parts, evidence, closure, its drills."""
    from drkit.actions import points as action
    from drkit.cli import show_point as show

    perform(context, "show", json, lambda run: action.show(run.settings, point), show.point)


@app.command()
def status(context: typer.Context, json: Json = False) -> None:
    """Are the objectives met right now?"""
    from drkit.actions import status as action
    from drkit.cli import show

    perform(context, "status", json, lambda run: action.status(run.settings), show.status)


@app.command()
def drill(
    context: typer.Context,
    point: Annotated[
        str | None, typer.Argument(metavar="[POINT]", help="Default: the newest sealed point.")
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Any sealed point, by chance.")] = False,
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest sealed point.")] = False,
    level: Annotated[
        Literal["quick", "full"],
        typer.Option(help="quick: database and secrets whole, of the blobs a sample."),
    ] = "full",
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to put the report as well.")
    ] = None,
    identity: Identity = None,
    json: Json = False,
) -> None:
    """Restore into a sandbox and prove it, with a stopwatch running."""
    from drkit.actions import drill as action
    from drkit.cli import show_drill as show

    wishes = action.Wishes(point, random, oldest, level, report, identity)
    perform(context, "drill", json, lambda run: action.drill(run.settings, wishes, run.listener), show.drill)


@app.command()
def verify(
    context: typer.Context,
    repository: RepositoryName = None,
    read_data_subset: Annotated[
        str | None, typer.Option(metavar="SUBSET", help="Read this much data too: 5%, 1/7 or 2G.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the repository's own integrity, and the vault's."""
    from drkit.actions import verify as action
    from drkit.cli import show

    perform(
        context,
        "verify",
        json,
        lambda run: action.verify(run.settings, repository, read_data_subset, run.listener),
        show.verify,
    )


@app.command()
def restore(
    context: typer.Context,
    point: PointArgument,
    only: Annotated[
        Literal["database", "blobs", "secrets"] | None, typer.Option(help="One part alone.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put files below DIR, not in place.")
    ] = None,
    database_dsn: Annotated[
        str | None, typer.Option(metavar="DSN", help="The server, if not the one in the configuration.")
    ] = None,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Set aside what is there; nothing is deleted.")
    ] = False,
    identity: Identity = None,
    json: Json = False,
) -> None:
    """Bring a recovery point back for real."""
    from drkit.actions import restore as action
    from drkit.actions import restore_plan as planning
    from drkit.cli import ask, show

    wishes = planning.Wishes(point, only, root, database_dsn, replace, identity)
    if dry_run:
        perform(context, "restore", json, lambda run: planning.plan(run.settings, wishes), show.restore_plan)
        return

    def work(run: Run) -> action.RestoreResult:
        plan = planning.plan(run.settings, wishes)
        if not yes:
            ask.confirm_restore(plan)
        return action.restore(run.settings, plan, run.listener)

    perform(context, "restore", json, work, show.restore)


@app.command()
def expire(context: typer.Context, dry_run: DryRun = False, json: Json = False) -> None:
    """Apply retention, and say why each point is kept or removed."""
    from drkit.actions import expire as action
    from drkit.cli import show

    perform(context, "expire", json, lambda run: action.expire(run.settings, dry_run=dry_run), show.expire)


@app.command()
def scheduler(context: typer.Context) -> None:
    """Run the schedule in the foreground."""
    from drkit.cli import unattended

    perform(context, "scheduler", False, unattended.run_scheduler, unattended.show_end)


@app.command()
def timers(
    context: typer.Context,
    systemd: Annotated[bool, typer.Option("--systemd", help="systemd units (the default).")] = False,
    cron: Annotated[bool, typer.Option("--cron", help="Lines for a crontab.")] = False,
    install: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the units there, such as /etc/systemd/system.")
    ] = None,
    json: Json = False,
) -> None:
    """Print or install systemd timers or cron lines for the same schedule."""
    from drkit.cli import unattended

    def work(run: Run) -> unattended.Timers:
        return unattended.make_timers(run, systemd=systemd, cron=cron, install=install)

    perform(context, "timers", json, work, unattended.show_timers)


def main() -> None:
    """The console script: run one command and leave with its exit code."""
    streams.prepare()
    try:
        code = app(prog_name="drkit", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a user
        code = report_usage(error, sys.argv[1:])
    streams.finish()
    sys.exit(code if isinstance(code, int) else 0)
