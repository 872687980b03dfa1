"""`drkit`: parsing and dispatch. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import contextlib
import gc
import os
import pkgutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from drkit import logs
from drkit.cli import streams
from drkit.cli.run import Options, report_usage
from drkit.errors import UsageError

# In the order of `drkit --help`.
_VERBS = {
    "init": "drkit.cli.init:init",
    "doctor": "drkit.cli.doctor:doctor",
    "backup": "drkit.cli.backup:backup",
    "points": "drkit.cli.points:points",
    "show": "drkit.cli.points:show_point",
    "status": "drkit.cli.status:status",
    "drill": "drkit.cli.drill:drill",
    "drills": "drkit.cli.drills:drills",
    "verify": "drkit.cli.verify:verify",
    "restore": "drkit.cli.restore:restore",
    "audit": "drkit.cli.audit:audit",
    "copy": "drkit.cli.copy:copy",
    "serve": "drkit.cli.serve:serve",
    "expire": "drkit.cli.expire:expire",
    "runbook": "drkit.cli.runbook:runbook",
    "notify": "drkit.cli.notify:notify",
    "trail": "drkit.cli.trail:trail",
    "scheduler": "drkit.cli.schedule:scheduler",
    "timers": "drkit.cli.schedule:timers",
    "keys": "drkit.cli.keys:app",
}


# What typer's commands are based on is in a module of its own.
Command = Any


class _Verbs(TyperGroup):
    """Loads a verb when it is asked for: a run needs one of them."""

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Command:
        # One that is not known is compared with all that are, for a hint.
        for verb in [cmd_name] if cmd_name in _VERBS else _VERBS:
            if verb not in self.commands:
                self.add_command(_loaded(verb), verb)
        return super().get_command(ctx, cmd_name)


def _loaded(verb: str) -> Command:
    found = pkgutil.resolve_name(_VERBS[verb])
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(verb)(found)
    return typer.main.get_command(alone)


app = typer.Typer(
    name="drkit",
    cls=_Verbs,
    help="Backup and disaster recovery for self-hosted container registries, proven by restoring.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


def main() -> None:
    """The console script: run one command and leave with its exit code."""
    # What is made is for nobody else, unless it is given another mode by name.
    os.umask(0o077)
    streams.prepare()
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
