"""`drkit status`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import Json
from drkit.cli.run import Run, perform
from drkit.errors import UsageError

if TYPE_CHECKING:
    from drkit.model import Status
    from drkit.reports.nagios import Answer

_EVERY = 60.0
# Whoever wants it less often than each day has timers.
_SELDOM = 86_400.0


def status(
    context: typer.Context,
    seconds: Annotated[
        float | None,
        typer.Argument(
            metavar="SECONDS",
            help=f"How often with --watch; default: {_EVERY:.0f}.",
            min=1,
            max=_SELDOM,
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    nagios: Annotated[
        bool, typer.Option("--nagios", help="As a Nagios plugin: its words, and its exit codes 0 to 3.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page to this file, too.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the page and metrics that the configuration names, too.")
    ] = False,
    json: Json = False,
) -> None:
    """Say whether the objectives are met and nothing else is wrong."""
    from drkit.cli.views import status as show

    def work(run: Run) -> Status | None:
        from drkit.actions.status import run as action
        from drkit.cli import watching

        _one_of(("--watch", watch), ("--nagios", nagios), ("--json", json))
        _one_of(("--nagios", nagios), ("--html", html is not None))
        _one_of(("--nagios", nagios), ("--write", write))
        if seconds is not None and not watch:
            raise UsageError("SECONDS goes with --watch", hint=f"drkit status --watch {seconds:g}")
        if watch:
            _one_of(("--watch", True), ("--html", html is not None), ("--write", write))
            watching.watch(lambda: action.status(run.settings), show.status, seconds or _EVERY)
            return None
        return action.status(run.settings, html=html, write=write)

    if nagios and not (watch or json or seconds or html or write):
        _as_plugin(context)
    perform(context, "status", json, work, show.status_or_nothing, bar=not watch)


def _one_of(*options: tuple[str, bool]) -> None:
    given = [name for name, wanted in options if wanted]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} do not go together", hint="give one of them")


def _as_plugin(context: typer.Context) -> None:
    """Answer as a plugin; whatever drkit itself would end with, the exit code is one of a plugin's."""
    from drkit.reports.nagios import UNKNOWN

    code = UNKNOWN

    def work(run: Run) -> Answer:
        nonlocal code
        said = _answer(run)
        code = said.code
        return said

    try:
        perform(context, "status", False, work, lambda paper, said: paper.line(said.text))
    except typer.Exit:
        raise typer.Exit(UNKNOWN) from None
    raise typer.Exit(code)


def _answer(run: Run) -> Answer:
    from drkit.actions.status.look import look
    from drkit.errors import Failure
    from drkit.reports import nagios

    try:
        return nagios.answer(look(run.settings).status)
    except Failure as error:
        return nagios.unknown(error)
