"""`drkit status`: its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import Json
from drkit.cli.run import Run, perform
from drkit.errors import UsageError
from drkit.progress import Listener, silent

if TYPE_CHECKING:
    from datetime import timedelta

    from drkit.cli.output import Output
    from drkit.model import Status
    from drkit.model.sites import Sites
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
    every: Annotated[
        Path | None,
        typer.Option("--all", metavar="DIR", help="All sites whose configurations are in this directory."),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --all: how long each site may take; default: 3m."),
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option("--metrics", metavar="FILE", help="With --all: write metrics of all sites.")
    ] = None,
    json: Json = False,
) -> None:
    """Say whether the objectives are met and nothing else is wrong."""
    if every is not None:
        _refuse_beside_all(context, nagios=nagios, html=html is not None, write=write)
        many = _Many(every, timeout, metrics, watch=watch, seconds=seconds, as_json=json)
        many.perform(context)
        return
    if timeout is not None or metrics is not None:
        name = "--timeout" if timeout is not None else "--metrics"
        raise UsageError(
            f"{name} goes with --all",
            hint="metrics of one site: see [metrics] in the configuration, and --write",
        )

    def work(run: Run) -> Status | None:
        from drkit.actions.status import run as action

        _one_of(("--watch", watch), ("--nagios", nagios), ("--json", json))
        _one_of(("--nagios", nagios), ("--html", html is not None))
        _one_of(("--nagios", nagios), ("--write", write))
        _require_watch(seconds, watch=watch)
        if watch:
            _one_of(("--watch", True), ("--html", html is not None), ("--write", write))
            from drkit.cli import watching

            watching.watch(lambda: action.status(run.settings), _show, seconds or _EVERY)
            return None
        return action.status(run.settings, html=html, write=write)

    if nagios and not (watch or json or seconds or html or write):
        _as_plugin(context)
    perform(context, "status", json, work, _show, bar=not watch, brief=not watch)


def _show(paper: Output, found: Status | None) -> None:
    """One screen; nothing where all was shown already."""
    # Loaded here: as JSON it is shown without.
    from drkit.cli.views import status as view

    if found is not None:
        view.status(paper, found)


def _refuse_beside_all(context: typer.Context, *, nagios: bool, html: bool, write: bool) -> None:
    """Raise UsageError for what makes sense for one site alone."""
    reasons = {
        "--nagios": (
            nagios,
            "a plugin answers for one site: define a check for each, so that each can alarm",
        ),
        "--html": (html, "the page is one site's: run `drkit --config FILE status --html PAGE` for each"),
        "--write": (
            write,
            "each site names its own files: run `drkit --config FILE status --write` for each",
        ),
        "--config": (context.obj.config is not None, "--config names one site, --all a directory of them"),
    }
    for name, (given, hint) in reasons.items():
        if given:
            raise UsageError(f"{name} and --all do not go together", hint=hint)


@dataclass(frozen=True)
class _Many:
    """`status --all`: what the command line says."""

    directory: Path
    timeout: str | None
    metrics: Path | None
    watch: bool
    seconds: float | None
    as_json: bool

    def perform(self, context: typer.Context) -> None:
        from drkit.cli.views import sites as show

        _one_of(("--watch", self.watch), ("--json", self.as_json))
        _require_watch(self.seconds, watch=self.watch)
        perform(context, "status", self.as_json, self._work, show.sites_or_nothing, bar=not self.watch)

    def _work(self, run: Run) -> Sites | None:
        from drkit.cli import watching
        from drkit.cli.views import sites as show

        if not self.watch:
            return self._look(run.listener)
        watching.watch(lambda: self._look(silent), show.sites, self.seconds or _EVERY)
        return None

    def _look(self, listener: Listener) -> Sites:
        from drkit.actions import sites as action
        from drkit.reports import metrics, site_metrics

        found = action.look(self.directory, self._limit(), listener)
        if self.metrics is not None:
            metrics.write(self.metrics, site_metrics.render(found))
        return action.judged(found)

    def _limit(self) -> timedelta:
        from drkit.actions import sites as action
        from drkit.config.fields import parse_duration

        try:
            return parse_duration(self.timeout) if self.timeout is not None else action.TIMEOUT
        except ValueError as error:
            raise UsageError(f"--timeout: {error}", hint="for example --timeout 90s") from None


def _require_watch(seconds: float | None, *, watch: bool) -> None:
    if seconds is not None and not watch:
        raise UsageError("SECONDS goes with --watch", hint=f"drkit status --watch {seconds:g}")


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
