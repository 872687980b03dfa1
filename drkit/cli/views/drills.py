"""The history of drills as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.cli.views import drill as show_drill
from drkit.cli.views import layout
from drkit.model import Outcome
from drkit.reports.units import counted, duration, minute, moment, size

if TYPE_CHECKING:
    from drkit.actions.drills.folder import DrillShown
    from drkit.actions.drills.history import DrillList
    from drkit.actions.drills.summary import PeriodReport, Signature
    from drkit.actions.drills.trend import Trend
    from drkit.actions.drills.verify import FolderVerified
    from drkit.cli.output import Output


def drills(paper: Output, found: DrillList) -> None:
    """All drills, newest first, and where recovery time goes."""
    table = Table("drill", "ended", "", "level", ">recovery", "signed", "repository", "point")
    for drill in found.drills:
        table.add_row(
            drill.id,
            minute(drill.finished_at),
            layout.outcome(drill.outcome),
            drill.level,
            duration(drill.recovery_time_seconds) if drill.recovery_time_seconds is not None else "-",
            "yes" if drill.signed else "no",
            drill.repository,
            drill.point,
        )
    if found.drills:
        paper.print(table)
    else:
        paper.print(f"No drill of {found.site} is known: run `drkit drill`.")
    if found.trend:
        paper.print()
        paper.print(trend(found.trend))
    layout.warn(paper, found.warnings)


def trend(found: Trend) -> str:
    """Where recovery time goes, in a sentence or two."""
    month = found.seconds_a_day * 30
    grows = f"grows by {duration(month)} a month" if month >= 1 else "does not grow"
    said = f"Recovery time by the last {found.drills} full drills that passed {grows}."
    if found.target_seconds is None:
        return f"{said} There is no objective for it (rto in [objectives])."
    goal = f"the objective of {duration(found.target_seconds)}"
    if found.missed_on is None:
        return f"{said} At this pace {goal} is met for years."
    if found.expected_seconds > found.target_seconds:
        return f"{said} The next drill will probably miss {goal}."
    return f"{said} At this pace {goal} will be missed from {found.missed_on:%B %Y} on."


def again(paper: Output, found: DrillShown) -> None:
    """One report again, and what its signature says."""
    show_drill.drill(paper, found.report)
    paper.print(Text("report: ").append_text(_signature(found.signature)))
    for path in found.written:
        paper.line(f"written: {path}")


def _signature(signature: Signature) -> Text:
    match signature.verified:
        case None:
            return Text(signature.said, style="yellow")
        case True:
            return Text(signature.said, style="green").append(f" ({signature.key[:16]})", style="default")
        case False:
            return Text(f"NOT AS IT WAS SIGNED: {signature.said}", style="red")


def period(paper: Output, found: PeriodReport) -> None:
    """A period at a glance; the page says more."""
    paper.print(Text(found.verdict, style="green" if found.good else "red"))
    if found.drills:
        paper.print()
        table = Table("drill", "ended", "", "level", ">recovery", "repository", "what followed")
        for drill in found.drills:
            table.add_row(
                drill.id,
                minute(drill.finished_at),
                layout.outcome(drill.outcome),
                drill.level,
                duration(drill.recovery_time_seconds) if drill.recovery_time_seconds is not None else "-",
                drill.repository,
                _followed(drill.outcome, drill.followed),
            )
        paper.print(table)
    paper.print()
    layout.facts(paper, _facts(found))
    layout.warn(paper, found.warnings)
    if found.report:
        paper.line(f"written: {found.report}")


def _followed(outcome: Outcome, followed: str | None) -> str:
    if outcome is Outcome.PASSED:
        return "-"
    return f"{followed} passed" if followed else "nothing yet"


def _facts(found: PeriodReport) -> list[tuple[str, str]]:
    lines = [
        (goal.name, f"met {goal.met}, missed {goal.missed}; worst {duration(goal.worst_seconds)}")
        for goal in found.objectives
    ]
    tried = found.points - found.undrilled_count
    lines.append(("points", f"{counted(found.points, 'point')} of this period, {tried} of them drilled"))
    for proof in found.proofs:
        if proof.at is None:
            said = "no full drill has ever passed: no byte is proved"
        else:
            said = f"proved by {proof.drill} on {moment(proof.at)}"
            said += f"; {size(proof.unread_bytes)} in {counted(proof.newer_points, 'point')} since are not"
        lines.append((f"bytes in {proof.repository}", said))
    if found.trend:
        lines.append(("trend", trend(found.trend)))
    return lines


def verified(paper: Output, found: FolderVerified) -> None:
    """What a folder of reports is worth."""
    table = Table("drill", "ended", "", "started by", "report")
    for report in found.reports:
        table.add_row(
            report.drill or "?",
            minute(report.finished_at),
            layout.outcome(report.outcome) if report.outcome else "?",
            f"{report.started_by} on {report.host}" if report.started_by else "?",
            Text(report.said, style="green" if report.good else "red"),
        )
    paper.print(table)
    for chain in found.chains:
        paper.print()
        many = counted(len(chain.drills), "signed report")
        paper.print(f"{chain.site}, repository {chain.repository[:8]}: {many}, up to {chain.drills[-1]}.")
        if chain.begins_after:
            paper.print(f"They begin after {chain.begins_after}, which is not here.")
        for gap in chain.gaps:
            paper.print(Text(f"left out: {gap.missing or 'a beginning'}, before {gap.after}", style="red"))
    if found.unsigned:
        paper.print()
        names = " and ".join(path.name for path in found.unsigned)
        paper.print(f"A summary is not signed: {names} may say anything, and was not looked at.")
    if found.good:
        paper.print()
        paper.print(
            "Each is as it was signed, and none between them is missing. Whether a later one was left out,"
            " only the repository tells (`drkit drills`)."
        )
