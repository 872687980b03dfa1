"""A drill as a person reads it: what was proved, what could not be, and how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.cli.views import layout
from drkit.model import Outcome
from drkit.reports import statements
from drkit.reports.units import duration, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drkit.cli.output import Output
    from drkit.model import CheckResult, ControlResult, DrillReport, Unplanted


def drill(paper: Output, report: DrillReport) -> None:
    """A drill; its verdict comes last, where the eye is."""
    _checks(paper, report.checks)
    _came_back(paper, report)
    _controls(paper, report.controls, report.unplanted)
    _upgrade(paper, report)
    _stages(paper, report)
    if report.unproved:
        layout.heading(paper, "what could not be proved")
        layout.facts(paper, [(f"  {one.subject}", one.said) for one in report.unproved])
    paper.print()
    _figures(paper, report)
    layout.warn(paper, report.problems)
    said = Text(f"drill {report.id} of point {report.point} ({report.level}): ")
    said.append_text(layout.outcome(report.outcome))
    missed = ", ".join(goal.name for goal in report.objectives if not goal.met)
    if missed and report.outcome is Outcome.PASSED:
        said.append(f", but missed: {missed}", style="red")
    if report.upgrade:
        said.append(f"; Harbor {report.upgrade.tag} on it: ")
        said.append_text(layout.outcome(report.upgrade.outcome))
    paper.print(said)


def _upgrade(paper: Output, report: DrillReport) -> None:
    found = report.upgrade
    if found is None:
        return
    layout.heading(paper, f"upgrade to Harbor {found.tag}")
    _checks(paper, found.checks)
    if found.controls or found.unplanted:
        _controls(paper, found.controls, found.unplanted)


def _checks(paper: Output, checks: Sequence[CheckResult]) -> None:
    table = Table("check", "", ">time", "found")
    order = {Outcome.PASSED: 0, Outcome.NOT_PROVABLE: 1, Outcome.ERROR: 2, Outcome.FAILED: 3}
    for check in sorted(statements.fold(checks), key=lambda check: order[check.outcome]):
        word = layout.outcome(check.outcome)
        table.add_row(check.name, word, duration(check.seconds), check.detail)
    paper.print(table)


def _came_back(paper: Output, report: DrillReport) -> None:
    lines = [(f"  {one.subject}", one.said) for one in statements.came_back(report.checks)]
    for database in report.databases:
        layout.heading(paper, f"database {database.name}: {statements.server(database)}")
        layout.facts(paper, [("  evidence", statements.coverage(database))])
    if lines:
        layout.heading(paper, "what came back, as it was at the backup")
        layout.facts(paper, lines)


def _controls(paper: Output, controls: Sequence[ControlResult], unplanted: Sequence[Unplanted]) -> None:
    paper.print()
    table = Table("control", "", "planted")
    for control in controls:
        word = Text("caught", style="green") if control.caught else Text("NOT CAUGHT", style="red")
        table.add_row(control.name, word, control.detail)
    for fault in unplanted:
        table.add_row(fault.name, Text("not planted", style="yellow"), fault.reason)
    paper.print(table)


def _stages(paper: Output, report: DrillReport) -> None:
    paper.print()
    table = Table("stage", ">from", ">time")
    for stage in report.stages:
        table.add_row(stage.name, duration(stage.started), duration(stage.seconds))
    paper.print(table)


def _recovery_time(report: DrillReport) -> str:
    if report.streamed:
        return "not measured: the images were not restored to a disk"
    return duration(report.recovery_time_seconds)


def _figures(paper: Output, report: DrillReport) -> None:
    missed = [
        (goal.name, "met" if goal.met else f"missed ({duration(goal.target_seconds)})")
        for goal in report.objectives
    ]
    layout.facts(
        paper,
        [
            ("point", f"consistent at {moment(report.consistent_at)}"),
            *([("image blobs from", report.vault)] if report.vault else []),
            *(
                [("first image pulled", f"after {duration(report.first_pull_seconds)}")]
                if report.first_pull_seconds is not None
                else []
            ),
            ("recovery time", _recovery_time(report)),
            ("age of the point", duration(report.recovery_point_age_seconds)),
            *missed,
            ("report", report.report or "-"),
        ],
    )
