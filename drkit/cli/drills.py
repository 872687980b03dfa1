"""`drkit drills`: its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drkit.cli.options import Json, Junit, RepositoryName
from drkit.cli.run import Run, perform
from drkit.errors import UsageError

if TYPE_CHECKING:
    from drkit.actions.drills.folder import DrillShown
    from drkit.actions.drills.history import DrillList
    from drkit.actions.drills.summary import PeriodReport
    from drkit.actions.drills.verify import FolderVerified


def drills(
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID | verify DIR]",
            help="One drill again, or `verify` and a folder of reports. Default: a list of all.",
        ),
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(metavar="PERIOD", help="A period's summary for the auditor: 2026Q4, 2026 or 2026-11."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the summary, or the report, to this directory.")
    ] = None,
    junit: Junit = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A public key to verify with; may be repeated. `verify` takes that of [drill] by default.",
        ),
    ] = None,
    repository: RepositoryName = None,
    json: Json = False,
) -> None:
    """List the drills, show one again, sum up a period, or verify a folder of reports."""
    call = _Call(context, json, period, report, junit, tuple(key or ()), repository)
    match what or []:
        case [] if period is not None:
            call.of_period(period)
        case []:
            call.every()
        case ["verify", directory]:
            call.verify(Path(directory))
        case [drill] if drill != "verify":
            call.again(drill)
        case _:
            call.refuse()


@dataclass(frozen=True)
class _Call:
    """How the command was called, whichever its form; each form takes some of the options."""

    context: typer.Context
    json: bool
    period: str | None
    report: Path | None
    junit: Path | None
    keys: tuple[Path, ...]
    repository: str | None

    def of_period(self, period: str) -> None:
        """Sum up a period."""
        from drkit.actions.drills import folder
        from drkit.actions.drills.period import parse
        from drkit.cli.views import drills as show

        def work(run: Run) -> PeriodReport:
            self._only("--period", "--period", "--report", "--key", "--repository")
            return folder.of_period(
                run.settings, parse(period), self.repository, self.report, self.keys, run.listener
            )

        perform(self.context, "drills", self.json, work, show.period)

    def every(self) -> None:
        """List all drills."""
        from drkit.actions.drills import history
        from drkit.cli.views import drills as show

        def work(run: Run) -> DrillList:
            self._only("a list of all drills", "--repository")
            return history.drills(run.settings, self.repository)

        perform(self.context, "drills", self.json, work, show.drills)

    def verify(self, directory: Path) -> None:
        """Verify a folder of reports."""
        from drkit.actions.drills import folder
        from drkit.cli.views import drills as show

        def work(run: Run) -> FolderVerified:
            self._only("`drills verify`", "--key")
            return folder.verified(None if self.keys else run.settings, directory, self.keys)

        perform(self.context, "drills", self.json, work, show.verified)

    def again(self, drill: str) -> None:
        """Show one drill again."""
        from drkit.actions.drills import folder
        from drkit.cli.views import drills as show

        def work(run: Run) -> DrillShown:
            self._only("a drill's id", "--report", "--junit", "--key", "--repository")
            return folder.again(run.settings, drill, self.repository, self.report, self.junit, self.keys)

        perform(self.context, "drills", self.json, work, show.again)

    def refuse(self) -> None:
        """Say that this is no form of the command."""

        def work(_run: Run) -> None:
            raise UsageError("that is no form of `drills`", hint="`drkit drills --help` shows them")

        perform(self.context, "drills", self.json, work, lambda _paper, _result: None)

    def _only(self, form: str, *allowed: str) -> None:
        """Raise UsageError for an option that the form does not take."""
        given = {
            "--period": self.period,
            "--report": self.report,
            "--junit": self.junit,
            "--key": self.keys,
            "--repository": self.repository,
        }
        for name, value in given.items():
            if value and name not in allowed:
                raise UsageError(
                    f"{name} does not go with {form}", hint="`drkit drills --help` shows the forms"
                )
