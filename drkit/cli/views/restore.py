"""A restore as a person reads it: the plan, what came of it, and how to go back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.cli.views import cluster
from drkit.cli.views.layout import warn as _warn
from drkit.reports.units import duration, moment, size

if TYPE_CHECKING:
    from drkit.actions.restore.plan import RestorePlan
    from drkit.actions.restore.run import RestoreResult
    from drkit.cli.output import Output


def restore_plan(paper: Output, plan: RestorePlan) -> None:
    """What a restore will do, step by step."""
    taken = f"consistent at {moment(plan.manifest.consistent_at)} ({duration(plan.age_seconds)} ago)"
    paper.print(f"recovery point {plan.point}, {taken}, made by {plan.manifest.host}, for {plan.site}")
    vault = any(step.source for step in plan.steps)
    table = Table("restore", *(["from"] if vault else []), "to", ">size", "there now", "room")
    for step in plan.steps:
        source = [step.source or "the repository"] if vault else []
        table.add_row(step.what, *source, step.target, size(step.bytes), step.present, step.room)
    paper.print(table)
    for step in plan.steps:
        for line in step.remarks:
            paper.print(f"{step.what}: {line}")
        if step.connected and not plan.stop:
            _warn(paper, [f"sessions in {step.target} will be ended: {'; '.join(step.connected)}"])
        elif step.connected:
            paper.print(f"sessions in {step.target} that must be gone by then: {'; '.join(step.connected)}")
    for line in _service(plan):
        paper.print(line)
    paper.print(_time(plan))
    if plan.manifest.warnings:
        paper.print("when the point was taken there were warnings:")
        _warn(paper, plan.manifest.warnings)


def _service(plan: RestorePlan) -> list[str]:
    """What is stopped and started, or has to be."""
    said = [f"stop it yourself before: {plan.to_stop}"] if plan.to_stop else []
    said += [f"before anything else drkit runs: {plan.stop}"] if plan.stop else []
    said += [f"when everything is back drkit runs: {plan.start}"] if plan.start else []
    if plan.stop and not plan.start:
        said.append("[restore] has no start command: the service stays stopped")
    return said


def _time(plan: RestorePlan) -> str:
    if plan.expected is None:
        return "time to expect: unknown, as no full drill of it has passed"
    drilled = "this point" if plan.expected.point == plan.point else f"point {plan.expected.point}"
    seconds = plan.expected.seconds
    about = "less than a second" if seconds < 1 else f"about {duration(seconds)}"
    return (
        f"time to expect: {about}, and verification,"
        f" as drill {plan.expected.drill} of {drilled} restored the same parts"
    )


def restore(paper: Output, result: RestoreResult | RestorePlan) -> None:
    """What a restore did, or what it would have done had nothing been in the way."""
    from drkit.actions.restore.plan import RestorePlan

    if isinstance(result, RestorePlan):
        restore_plan(paper, result)
        return
    table = Table("restored", "to", ">time", "verified")
    for step in result.steps:
        table.add_row(step.what, step.target, duration(step.seconds), step.verified)
    paper.print(table)
    for line in result.swept:
        paper.print(line)
    for left in result.not_restored:
        paper.print(Text(f"not restored: {left.what} ({left.why})", style="red"))
        paper.print(f"  now: {left.now}")
    cluster.shared(paper, result.cluster, "brought")
    for path in result.set_aside:
        paper.print(f"set aside: {path}")
    _warn(paper, result.warnings)
    if result.service:
        paper.print(f"the service: {result.service}")
    paper.print(_came_back(paper, result))
    _way_back(paper, result)
    if result.steps and (paper.succeeded or result.lacking):
        paper.print("\nNext:")
        for number, line in enumerate(result.next_steps, 1):
            paper.print(f"  {number}. {line}")


def _way_back(paper: Output, result: RestoreResult) -> None:
    """Commands for whoever wants what was there before."""
    if not result.way_back:
        return
    paper.print("\nTo go back to what was there before, with the registry stopped:")
    for line in result.way_back:
        paper.line(f"  {line}")


def _came_back(paper: Output, result: RestoreResult) -> Text:
    """What of the point is back, in a sentence that the exit code agrees with."""
    back = ", ".join(step.what for step in result.steps) or "nothing"
    took = f"({duration(result.seconds)})"
    if paper.succeeded and not result.left_out:
        return Text(f"recovery point {result.point} is back {took}", style="green")
    if paper.succeeded:
        left = ", ".join(result.left_out)
        return Text(f"restored of recovery point {result.point}: {back} {took}; not requested: {left}")
    words = f"; not restored: {', '.join(result.missing)}" if result.missing else ""
    return Text(
        f"recovery point {result.point} is not restored completely; restored: {back}{words}", style="red"
    )
