"""`drkit`: parsing and dispatch. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from drkit import logs
from drkit.cli import (
    audit,
    backup,
    copy,
    doctor,
    drill,
    drills,
    expire,
    init,
    keys,
    notify,
    points,
    restore,
    runbook,
    schedule,
    serve,
    status,
    streams,
    trail,
    verify,
)
from drkit.cli.run import Options, report_usage
from drkit.errors import UsageError

# So many new objects before Python looks for garbage; its own number is 700.
_OBJECTS = 100_000

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


def _log_format() -> logs.Form:
    """What the surroundings ask for; raises UsageError."""
    try:
        return logs.form_of(os.environ, sys.stderr.fileno())
    except ValueError:
        said = os.environ["DRKIT_LOG_FORMAT"]
        raise UsageError(f"DRKIT_LOG_FORMAT is {said!r}", hint="it is text or json") from None


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
    log_format: Annotated[
        logs.Form | None,
        typer.Option(
            "--log-format",
            help="Default: $DRKIT_LOG_FORMAT, else JSON (ECS) where systemd's journal reads it, else text.",
        ),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    logs.use(log_format or _log_format())
    context.obj = Options(config, verbose, quiet)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


# In the order of `drkit --help`.
app.command()(init.init)
app.command()(doctor.doctor)
app.command()(backup.backup)
app.command()(points.points)
app.command(name="show")(points.show_point)
app.command()(status.status)
app.command()(drill.drill)
app.command()(drills.drills)
app.command()(verify.verify)
app.command()(restore.restore)
app.command()(audit.audit)
app.command()(copy.copy)
app.command()(serve.serve)
app.command()(expire.expire)
app.command()(runbook.runbook)
app.command()(notify.notify)
app.command()(trail.trail)
app.command()(schedule.scheduler)
app.command()(schedule.timers)


def main() -> None:
    """The console script: run one command and leave with its exit code."""
    # What is made is for nobody else, unless it is given another mode by name.
    os.umask(0o077)
    streams.prepare()
    # What drkit reads is mostly kept until it ends: to look through that for garbage again and again takes
    # longer than to read it.
    gc.set_threshold(_OBJECTS)
    with contextlib.suppress(UsageError):
        # Also for what is wrong with the command line.
        logs.use(_log_format())
    try:
        code = app(prog_name="drkit", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a user
        code = report_usage(error, sys.argv[1:])
    streams.finish()
    # Python would look through all that is left once more, though all of it goes now.
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)
