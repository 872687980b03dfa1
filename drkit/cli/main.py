"""`drkit`: parsing and dispatch. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from drkit.cli import audit, copy, keys, restore, runbook, streams
from drkit.cli.options import (
    DryRun,
    Identity,
    Json,
    PointArgument,
    RepositoryAddress,
    RepositoryCredentials,
    RepositoryName,
    RepositoryPassword,
    SiteName,
)
from drkit.cli.recording import Recorded
from drkit.cli.run import Options, Run, perform, report_usage

app = typer.Typer(
    name="drkit",
    help="Backup and disaster recovery for self-hosted container registries, proven by restoring.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(keys.app, name="keys")


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
        bool, typer.Option("--quiet", "-q", help="Print nothing unless something is wrong.")
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
        if copy_to is not None and there.exists() and not (harbor or repository):
            return further.add(there, copy_to, copy_credentials)
        wanted = InitOptions(
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
            copy_to=copy_to,
            copy_credentials=copy_credentials,
        )
        return action.init(prompts.complete(wanted, context.obj.config))

    perform(context, "init", json, lambda _run: work(), results.init)


@app.command()
def doctor(context: typer.Context, json: Json = False) -> None:
    """Check what backups and drills need: tools, access, disk space, keys, clock."""
    from drkit.actions.doctor import run as action
    from drkit.cli.views import results

    perform(context, "doctor", json, lambda run: action.doctor(run.settings), results.doctor)


@app.command()
def backup(context: typer.Context, dry_run: DryRun = False, json: Json = False) -> None:
    """Take one recovery point."""
    from drkit.actions.backup import run as action
    from drkit.cli.views import results

    if dry_run:
        perform(context, "backup", json, lambda run: action.plan(run.settings), results.backup_plan)
    else:
        perform(
            context,
            "backup",
            json,
            lambda run: action.backup(run.settings, run.listener),
            results.backup,
            Recorded("backup"),
        )


@app.command()
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
    json: Json = False,
) -> None:
    """List recovery points, newest first."""
    from drkit.actions import points as action
    from drkit.cli import bare
    from drkit.cli.views import results

    def work(run: Run) -> action.PointList:
        origin = bare.origin(repository, password_file, repository_credentials, site)
        if origin is None:
            return action.points(run.settings, repository, forget or (), confirm)
        from drkit.actions.restore.bare import looking

        with looking(origin) as settings:
            return action.points(settings, None, forget or (), confirm)

    perform(context, "points", json, work, results.points)


@app.command(name="show")
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


@app.command()
def status(context: typer.Context, json: Json = False) -> None:
    """Say whether the objectives are met and nothing else is wrong."""
    from drkit.actions.status import run as action
    from drkit.cli.views import results

    perform(context, "status", json, lambda run: action.status(run.settings), results.status)


@app.command()
def drill(
    context: typer.Context,
    point: Annotated[
        str | None, typer.Argument(metavar="[POINT]", help="Default: the newest sealed point.")
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="A sealed point chosen at random.")] = False,
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest sealed point.")] = False,
    level: Annotated[
        Literal["quick", "full"],
        typer.Option(help="quick: database and secrets whole, a sample of the images."),
    ] = "full",
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the report to this directory as well.")
    ] = None,
    identity: Identity = None,
    repository: RepositoryName = None,
    json: Json = False,
) -> None:
    """Restore a recovery point into a sandbox, check it and measure how long it takes."""
    from drkit.actions.drill import run as action
    from drkit.cli.views import drill as show

    options = action.DrillOptions(point, random, oldest, level, report, identity, repository)
    perform(
        context,
        "drill",
        json,
        lambda run: action.drill(run.settings, options, run.listener),
        show.drill,
        Recorded("drill", f"{level} from {repository}" if repository else level),
    )


@app.command()
def verify(
    context: typer.Context,
    repository: RepositoryName = None,
    read_data_subset: Annotated[
        str | None, typer.Option(metavar="SUBSET", help="Read this share of the data too: 5%, 1/7 or 2G.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the integrity of the repository and of the vault."""
    from drkit.actions import verify as action
    from drkit.cli.views import results

    perform(
        context,
        "verify",
        json,
        lambda run: action.verify(run.settings, repository, read_data_subset, run.listener),
        results.verify,
        Recorded("verify", repository or "", action.thorough(read_data_subset)),
    )


# Some stand in modules of their own.
app.command()(restore.restore)
app.command()(audit.audit)
app.command()(copy.copy)


@app.command()
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
        context, "serve", False, lambda run: action.serve(run.settings, options, show.announce), show.ended
    )


@app.command()
def expire(
    context: typer.Context,
    dry_run: DryRun = False,
    repository: Annotated[
        str | None,
        typer.Option("--repository", metavar="NAME", help="Only this repository. Default: all of them."),
    ] = None,
    forget_repository: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Confirm that a repository is gone for good: the vault need not keep its blobs.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Apply retention, and say why each point is kept or removed."""
    from drkit.actions.expire import run as action
    from drkit.cli.views import results

    def work(run: Run) -> action.ExpireResult:
        return action.expire(run.settings, dry_run=dry_run, forget=forget_repository, repository=repository)

    recorded = None if dry_run else Recorded("expire", repository or "")
    perform(context, "expire", json, work, results.expire, recorded)


app.command()(runbook.runbook)


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
        Path | None,
        typer.Option(metavar="DIR", help="Write the units to this directory, such as /etc/systemd/system."),
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
    # What is made is for nobody else, unless it is given another mode by name.
    os.umask(0o077)
    streams.prepare()
    try:
        code = app(prog_name="drkit", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a user
        code = report_usage(error, sys.argv[1:])
    streams.finish()
    sys.exit(code if isinstance(code, int) else 0)
