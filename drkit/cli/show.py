"""Results as a person reads them, one function a verb."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from drkit.model import Closure, Outcome, PointStatus
from drkit.reports.units import duration, moment, size

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from drkit.actions.backup import BackupResult, PlannedPart
    from drkit.actions.doctor import Diagnosis
    from drkit.actions.expire import ExpireResult
    from drkit.actions.init import InitResult
    from drkit.actions.points import PointDetails, PointList
    from drkit.actions.restore import RestoreResult
    from drkit.actions.restore_plan import RestorePlan
    from drkit.actions.status import Status
    from drkit.actions.verify import VerifyResult
    from drkit.model import CertificateFacts, DrillNote, DrillReport, Part

_COLOURS = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "red",
    Outcome.ERROR: "red",
    Outcome.NOT_PROVABLE: "yellow",
}


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        right = heading.startswith(">")
        table.add_column(heading.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def _facts(console: Console, pairs: Iterable[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in pairs:
        table.add_row(Text(name, style="bold"), value)
    console.print(table)


def _warn(console: Console, warnings: Sequence[str]) -> None:
    for warning in warnings:
        console.print(Text("warning: ", style="yellow").append(warning, style="default"))


def _outcome(outcome: Outcome) -> Text:
    return Text(outcome.value.replace("_", " "), style=_COLOURS[outcome])


def init(console: Console, result: InitResult) -> None:
    """What `init` wrote, and the two secrets that must live elsewhere too."""
    _facts(
        console,
        [
            ("site", result.site),
            ("database", result.database or "none"),
            ("images", str(result.blobs or "none")),
            ("secrets", "\n".join(f"{e.path}: {e.purpose}" for e in result.secret_purposes) or "none"),
            (
                "repository",
                f"{result.repository} ({'made' if result.repository_made else 'was there already'})",
            ),
            ("written", "\n".join(map(str, result.written))),
        ],
    )
    _warn(console, result.warnings)
    password, identity = result.keep_outside
    console.print()
    console.print(
        Text("Keep these two secrets outside this machine, or a backup cannot be opened when it burns:")
    )
    _facts(
        console,
        [
            (f"  {password}", "opens the repository; without it every backup is noise"),
            (f"  {identity}", "opens the certificates and keys inside it"),
        ],
    )
    console.print(f"\nNext: drkit --config {result.config} doctor")


def doctor(console: Console, diagnosis: Diagnosis) -> None:
    """The findings, problems last so that they stay on the screen."""
    marks = {
        "ok": Text("ok", style="green"),
        "warning": Text("warning", style="yellow"),
        "problem": Text("problem", style="red"),
    }
    table = _table("", "looked at", "found")
    order = {"ok": 0, "warning": 1, "problem": 2}
    for finding in sorted(diagnosis.findings, key=lambda f: order[f.state]):
        detail = f"{finding.detail}\n-> {finding.hint}" if finding.hint else finding.detail
        table.add_row(marks[finding.state], finding.name, detail)
    console.print(table)
    if not diagnosis.problems:
        console.print("\nNothing stands in the way of a backup.")


def backup_plan(console: Console, parts: Sequence[PlannedPart]) -> None:
    """What a backup would capture."""
    table = _table("part", "name", "from")
    for part in parts:
        table.add_row(part.kind, part.name, part.source)
    console.print(table)


def backup(console: Console, result: BackupResult) -> None:
    """A backup, in a few lines."""
    sealed = result.status is PointStatus.SEALED
    took = (result.finished_at - result.started_at).total_seconds()
    console.print(_parts(result.parts))
    _facts(
        console,
        [
            ("consistent at", moment(result.consistent_at)),
            ("rows", f"{result.rows:,}"),
            ("closure", closure(result.closure)),
            ("size", f"{size(result.bytes)}, of which {size(result.added_bytes)} are new in the repository"),
            ("time", duration(took)),
        ],
    )
    for line in result.swept:
        console.print(line)
    _warn(console, result.warnings)
    word = Text("sealed" if sealed else "incomplete", style="green" if sealed else "red")
    console.print(Text("recovery point ").append(result.id, style="bold").append(" is ").append_text(word))


def _parts(parts: Sequence[Part]) -> Table:
    table = _table("part", "name", ">size", ">new", ">time", "snapshot")
    for part in parts:
        new = size(part.added_bytes)
        table.add_row(part.kind, part.name, size(part.bytes), new, duration(part.seconds), part.snapshot[:8])
    return table


def closure(found: Closure | None) -> str:
    """A closure in one line."""
    if found is None:
        return "not compared"
    if found.whole:
        said = f"whole: all {found.referenced:,} blobs that are referred to are there"
    else:
        missing = f"{found.missing:,} of {found.referenced:,} blobs missing"
        said = f"{missing}, {found.size_mismatch:,} of the wrong size"
    return f"{said}, {found.unreferenced:,} unreferenced" if found.unreferenced else said


def points(console: Console, found: PointList) -> None:
    """The list, newest first."""
    if not found.points:
        console.print(f"no recovery points in {found.repository}")
        return
    table = _table("point", "status", "consistent at", ">size", "last drill")
    for point in found.points:
        sealed = point.status is PointStatus.SEALED
        status = Text(point.status.value, style="green" if sealed else "yellow")
        bytes_ = size(point.bytes) if point.bytes is not None else "-"
        table.add_row(point.id, status, moment(point.consistent_at), bytes_, _drill(point.last_drill))
    console.print(table)


def _drill(note: DrillNote | None) -> Text:
    if note is None:
        return Text("never", style="dim")
    return _outcome(note.outcome).append(f" ({note.level}) {moment(note.finished_at)}", style="default")


def point(console: Console, found: PointDetails) -> None:
    """Everything about one point."""
    _facts(
        console,
        [
            ("point", found.id),
            ("status", found.status.value),
            ("consistent at", moment(found.consistent_at)),
            ("size", size(found.bytes)),
            ("taken on", f"{found.host}, drkit {found.versions.get('drkit', '?')}"),
            ("closure", closure(found.closure)),
            ("bundle opens for", "\n".join(found.recipients) or "-"),
        ],
    )
    console.print()
    console.print(_parts(found.parts))
    for evidence in found.databases:
        console.print()
        console.print(
            f"database {evidence.name}: PostgreSQL {evidence.major}, {len(evidence.tables)} tables, "
            f"{evidence.rows:,} rows"
            + (f", Harbor schema {evidence.harbor_schema}" if evidence.harbor_schema else "")
        )
        table = _table("table", ">rows", "hash")
        for entry in sorted(evidence.tables, key=lambda t: -t.rows):
            table.add_row(f"{entry.schema}.{entry.table}", f"{entry.rows:,}", entry.hash)
        console.print(table)
    if found.secret_files:
        console.print(f"\n{len(found.secret_files)} files in the secrets bundle:")
        for file in found.secret_files:
            console.print(f"  {file.path}: {file.what}" if file.what else f"  {file.path}")
    if found.certificates:
        console.print()
        console.print(_certificates(found.certificates))
    for drill_note in found.drills:
        console.print(Text(f"drill {drill_note.id} ").append_text(_drill(drill_note)))
    _warn(console, found.warnings)


def _certificates(certificates: Sequence[CertificateFacts]) -> Table:
    """Each certificate once, however many files hold it, the first to expire first."""
    table = _table("certificate", "valid until", "in")
    found: dict[tuple[datetime, str], list[str]] = {}
    for each in certificates:
        found.setdefault((each.not_after, each.subject), []).append(each.path)
    for (end, subject), paths in sorted(found.items()):
        table.add_row(subject, f"{end:%Y-%m-%d}", "\n".join(paths))
    return table


def status(console: Console, found: Status) -> None:
    """The objectives, and what wants attention."""
    names = {"rpo": "newest point is", "rto": "recovery takes", "drill": "last passed drill was"}
    table = _table("objective", "", ">actual", ">target")
    for objective in found.objectives:
        word = Text("met", style="green") if objective.met else Text("missed", style="red")
        target, actual = duration(objective.target_seconds), duration(objective.actual_seconds)
        table.add_row(f"{objective.name}: {names[objective.name]}", word, actual, target)
    console.print(table if found.objectives else "no objectives are configured")
    _facts(
        console,
        [
            ("newest point", f"{found.newest_point or 'none'} ({moment(found.newest_point_at)})"),
            ("sealed points", str(found.points)),
            ("last drill", str(_drill(found.last_drill))),
        ],
    )
    _warn(console, found.problems)


def drill(console: Console, report: DrillReport) -> None:
    """A drill: what was checked, what was planted, how long it took."""
    table = _table("check", "", "found", ">time")
    for check in report.checks:
        table.add_row(check.name, _outcome(check.outcome), check.detail, duration(check.seconds))
    console.print(table)
    console.print()
    table = _table("control", "", "planted")
    for control in report.controls:
        word = Text("caught", style="green") if control.caught else Text("NOT CAUGHT", style="red")
        table.add_row(control.name, word, control.detail)
    console.print(table)
    console.print()
    table = _table("stage", ">from", ">time")
    for stage in report.stages:
        table.add_row(stage.name, duration(stage.started), duration(stage.seconds))
    console.print(table)
    _facts(
        console,
        [
            ("recovery time", duration(report.recovery_time_seconds)),
            ("age of the point", duration(report.recovery_point_age_seconds)),
            *(
                (o.name, "met" if o.met else f"missed ({duration(o.target_seconds)})")
                for o in report.objectives
            ),
            ("report", report.report or "-"),
        ],
    )
    _warn(console, report.problems)
    said = Text(f"drill {report.id} of point {report.point} ({report.level}): ")
    console.print(said.append_text(_outcome(report.outcome)))


def verify(console: Console, result: VerifyResult) -> None:
    """The repository's integrity."""
    data = f" and {result.read_data_subset} of its data" if result.read_data_subset else ""
    console.print(f"the structure of {result.repository}{data} is sound ({duration(result.seconds)})")
    if not result.read_data_subset:
        console.print("no data was read: --read-data-subset 5% reads some, a full drill reads all of a point")


def restore_plan(console: Console, plan: RestorePlan) -> None:
    """What a restore will do, step by step."""
    console.print(
        f"recovery point {plan.point}, consistent at {moment(plan.manifest.consistent_at)}, for {plan.site}"
    )
    table = _table("restore", "to", "size", "there now")
    for step in plan.steps:
        table.add_row(step.what, step.target, size(step.bytes), step.present)
    console.print(table)


def restore(console: Console, result: RestoreResult | RestorePlan) -> None:
    """What a restore did, or what it would have done had nothing been in the way."""
    from drkit.actions.restore_plan import RestorePlan

    if isinstance(result, RestorePlan):
        restore_plan(console, result)
        return
    table = _table("restored", "to", ">time", "verified")
    for step in result.steps:
        table.add_row(step.what, step.target, duration(step.seconds), step.verified)
    console.print(table)
    for line in result.swept:
        console.print(line)
    for path in result.set_aside:
        console.print(f"set aside: {path}")
    _warn(console, result.warnings)
    console.print(f"recovery point {result.point} is back ({duration(result.seconds)})")


def expire(console: Console, result: ExpireResult) -> None:
    """Each point, and why it is kept or removed."""
    table = _table("point", "", "why")
    for line in result.decisions:
        word = Text("keep", style="green") if line.keep else Text("remove", style="red")
        table.add_row(line.point, word, ", ".join(line.reasons))
    console.print(table)
    verb = "would be removed" if result.dry_run else "removed"
    console.print(f"{result.removed} recovery points {verb}, {result.kept} kept")
