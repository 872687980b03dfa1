"""A drill as a person reads it: what was proved, what could not be, and how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli import layout
from drkit.model import Outcome
from drkit.reports import statements
from drkit.reports.units import duration, moment

if TYPE_CHECKING:
    from rich.console import Console

    from drkit.model import DrillReport


def drill(console: Console, report: DrillReport) -> None:
    """A drill; its verdict comes last, where the eye is."""
    _checks(console, report)
    _came_back(console, report)
    _controls(console, report)
    _stages(console, report)
    if report.unproved:
        layout.heading(console, "what could not be proved")
        layout.facts(console, [(f"  {one.subject}", one.said) for one in report.unproved])
    console.print()
    _figures(console, report)
    layout.warn(console, report.problems)
    said = Text(f"drill {report.id} of point {report.point} ({report.level}): ")
    console.print(said.append_text(layout.outcome(report.outcome)))


def _checks(console: Console, report: DrillReport) -> None:
    table = layout.table("check", "", "found", ">time")
    order = {Outcome.PASSED: 0, Outcome.NOT_PROVABLE: 1, Outcome.ERROR: 2, Outcome.FAILED: 3}
    for check in sorted(statements.fold(report.checks), key=lambda check: order[check.outcome]):
        word = layout.outcome(check.outcome)
        table.add_row(Text(check.name), word, Text(check.detail), duration(check.seconds))
    console.print(table)


def _came_back(console: Console, report: DrillReport) -> None:
    lines = [(f"  {one.subject}", one.said) for one in statements.came_back(report.checks)]
    for database in report.databases:
        layout.heading(console, f"database {database.name}: {statements.server(database)}")
        layout.facts(console, [("  evidence", statements.coverage(database))])
    if lines:
        layout.heading(console, "what came back, as it was at the backup")
        layout.facts(console, lines)


def _controls(console: Console, report: DrillReport) -> None:
    console.print()
    table = layout.table("control", "", "planted")
    for control in report.controls:
        word = Text("caught", style="green") if control.caught else Text("NOT CAUGHT", style="red")
        table.add_row(Text(control.name), word, Text(control.detail))
    for fault in report.unplanted:
        table.add_row(Text(fault.name), Text("not planted", style="yellow"), Text(fault.reason))
    console.print(table)


def _stages(console: Console, report: DrillReport) -> None:
    console.print()
    table = layout.table("stage", ">from", ">time")
    for stage in report.stages:
        table.add_row(stage.name, duration(stage.started), duration(stage.seconds))
    console.print(table)


def _figures(console: Console, report: DrillReport) -> None:
    missed = [
        (goal.name, "met" if goal.met else f"missed ({duration(goal.target_seconds)})")
        for goal in report.objectives
    ]
    layout.facts(
        console,
        [
            ("point", f"consistent at {moment(report.consistent_at)}"),
            *([("image blobs from", report.vault)] if report.vault else []),
            ("recovery time", duration(report.recovery_time_seconds)),
            ("age of the point", duration(report.recovery_point_age_seconds)),
            *missed,
            ("report", report.report or "-"),
        ],
    )
