"""Results as a person reads them, one function a verb."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli import show_vault
from drkit.cli.layout import bucket, closure, drilled
from drkit.cli.layout import drill_note as _drill
from drkit.cli.layout import facts as _facts
from drkit.cli.layout import parts as _parts
from drkit.cli.layout import volume as _volume_facts
from drkit.cli.layout import warn as _warn
from drkit.cli.paper import Table
from drkit.model import PointStatus
from drkit.reports.units import duration, minute, moment, size

if TYPE_CHECKING:
    from drkit.actions.backup import BackupResult, PlannedPart
    from drkit.actions.doctor import Diagnosis
    from drkit.actions.expire import ExpireResult
    from drkit.actions.init import InitResult
    from drkit.actions.points import PointList
    from drkit.actions.restore import RestoreResult
    from drkit.actions.restore_plan import RestorePlan
    from drkit.actions.status import Status
    from drkit.actions.verify import VerifyResult
    from drkit.cli.paper import Paper
    from drkit.sources.vault.verifying import VaultVerified


def init(paper: Paper, result: InitResult) -> None:
    """What `init` wrote, and the two secrets that must live elsewhere too."""
    _facts(
        paper,
        [
            ("site", result.site),
            ("database", result.database or "none"),
            ("images", result.blobs or "none"),
            *([("vault", result.vault)] if result.vault else []),
            ("secrets", "\n".join(f"{e.path}: {e.purpose}" for e in result.secret_purposes) or "none"),
            (
                "repository",
                f"{result.repository} ({'made' if result.repository_made else 'was there already'})",
            ),
            ("written", "\n".join(map(str, result.written))),
        ],
    )
    _warn(paper, result.warnings)
    purposes = (
        "opens the repository; without it every backup is noise",
        "opens the certificates and keys inside it",
        "reads the images out of the vault",
    )
    count = {2: "two", 3: "three"}[len(result.keep_outside)]
    paper.print()
    paper.print(
        f"Keep these {count} secrets outside this machine, or a backup cannot be opened when it burns:"
    )
    _facts(paper, [(f"  {path}", said) for path, said in zip(result.keep_outside, purposes, strict=False)])
    paper.print()
    paper.line(f"Next: drkit --config {shlex.quote(str(result.config))} doctor")


def doctor(paper: Paper, diagnosis: Diagnosis) -> None:
    """The findings, problems last so that they stay on the screen."""
    marks = {
        "ok": Text("ok", style="green"),
        "warning": Text("warning", style="yellow"),
        "problem": Text("problem", style="red"),
    }
    table = Table("", "looked at", "found")
    order = {"ok": 0, "warning": 1, "problem": 2}
    for finding in sorted(diagnosis.findings, key=lambda f: order[f.state]):
        detail = f"{finding.detail}\n-> {finding.hint}" if finding.hint else finding.detail
        table.add_row(marks[finding.state], finding.name, detail)
    paper.print(table)
    if not diagnosis.problems:
        paper.print("\nNothing stands in the way of a backup.")


def backup_plan(paper: Paper, parts: Sequence[PlannedPart]) -> None:
    """What a backup would capture."""
    table = Table("part", "name", "from")
    for part in parts:
        table.add_row(part.kind, part.name, part.source)
    paper.print(table)


def backup(paper: Paper, result: BackupResult) -> None:
    """A backup, in a few lines."""
    sealed = result.status is PointStatus.SEALED
    homes = "repository and vault" if result.bucket else "repository"
    took = (result.finished_at - result.started_at).total_seconds()
    paper.print(_parts(result.parts))
    _facts(
        paper,
        [
            ("consistent at", moment(result.consistent_at)),
            ("rows", f"{result.rows:,}"),
            ("closure", closure(result.closure)),
            *_volume_facts(result.volume),
            *bucket(result.bucket),
            ("size", f"{size(result.bytes)}, of which {size(result.added_bytes)} are new in the {homes}"),
            ("time", duration(took)),
        ],
    )
    for line in result.swept:
        paper.print(line)
    _warn(paper, result.warnings)
    word = Text("sealed" if sealed else "incomplete", style="green" if sealed else "red")
    paper.print(Text("recovery point ").append(result.id, style="bold").append(" is ").append_text(word))


def points(paper: Paper, found: PointList) -> None:
    """The list, newest first."""
    if not found.points:
        paper.print(f"no recovery points in {found.repository}")
        return
    vaults = any(point.vault for point in found.points)
    table = Table(
        "point", "status", "consistent at", ">size", "last drill", *(["blobs in"] if vaults else [])
    )
    for point in found.points:
        sealed = point.status is PointStatus.SEALED
        status = Text(point.status.value, style="green" if sealed else "yellow")
        bytes_ = size(point.bytes) if point.bytes is not None else "-"
        # Of one that is not sealed nobody knows.
        where = [point.vault or ("the repository" if sealed else "-")] if vaults else []
        table.add_row(
            point.id, status, minute(point.consistent_at), bytes_, drilled(point.last_drill), *where
        )
    paper.print(table)


def status(paper: Paper, found: Status) -> None:
    """The objectives, and what wants attention."""
    names = {"rpo": "newest point is", "rto": "recovery takes", "drill": "last passed drill was"}
    table = Table("objective", "", ">actual", ">target")
    for objective in found.objectives:
        word = Text("met", style="green") if objective.met else Text("missed", style="red")
        target, actual = duration(objective.target_seconds), duration(objective.actual_seconds)
        table.add_row(f"{objective.name}: {names[objective.name]}", word, actual, target)
    paper.print(table if found.objectives else "no objectives are configured")
    _facts(
        paper,
        [
            ("newest point", f"{found.newest_point or 'none'} ({moment(found.newest_point_at)})"),
            ("sealed points", str(found.points)),
            ("last drill", str(_drill(found.last_drill))),
        ],
    )
    _warn(paper, found.problems)


def verify(paper: Paper, result: VerifyResult) -> None:
    """The repository's integrity, and the vault's."""
    data = f" and {result.read_data_subset} of its data" if result.read_data_subset else ""
    took = "" if result.vault else f" ({duration(result.seconds)})"
    paper.print(f"the structure of {result.repository}{data} is sound{took}")
    if result.vault:
        _verified_vault(paper, result.vault)
        paper.print(f"it took {duration(result.seconds)}")
    if not result.read_data_subset:
        paper.print("no data was read: --read-data-subset 5% reads some, a full drill reads all of a point")


def _verified_vault(paper: Paper, vault: VaultVerified) -> None:
    points = "the recovery point" if vault.points == 1 else f"{vault.points} recovery points"
    needed = f"{vault.blobs:,} blobs ({size(vault.bytes)}) that {points} rely on"
    read = f", {vault.read:,} of them ({size(vault.read_bytes)}) read and hashed" if vault.read else ""
    there = f"{vault.bad:,} are not as they should be" if vault.bad else "all are there"
    paper.print(f"the vault {vault.where}: of {needed}, {there}{read}")
    for fault in vault.faults:
        paper.print(f"  {fault}")
    if vault.hidden:
        said = (
            f"{vault.hidden:,} blobs in the vault were deleted or written over; what points need are versions"
        )
        _warn(paper, [f"{said} that are still there"])


def restore_plan(paper: Paper, plan: RestorePlan) -> None:
    """What a restore will do, step by step."""
    paper.print(
        f"recovery point {plan.point}, consistent at {moment(plan.manifest.consistent_at)}, for {plan.site}"
    )
    vault = any(step.source for step in plan.steps)
    table = Table("restore", *(["from"] if vault else []), "to", ">size", "there now")
    for step in plan.steps:
        source = [step.source or "the repository"] if vault else []
        table.add_row(step.what, *source, step.target, size(step.bytes), step.present)
    paper.print(table)


def restore(paper: Paper, result: RestoreResult | RestorePlan) -> None:
    """What a restore did, or what it would have done had nothing been in the way."""
    from drkit.actions.restore_plan import RestorePlan

    if isinstance(result, RestorePlan):
        restore_plan(paper, result)
        return
    table = Table("restored", "to", ">time", "verified")
    for step in result.steps:
        table.add_row(step.what, step.target, duration(step.seconds), step.verified)
    paper.print(table)
    for line in result.swept:
        paper.print(line)
    for path in result.set_aside:
        paper.print(f"set aside: {path}")
    _warn(paper, result.warnings)
    paper.print(f"recovery point {result.point} is back ({duration(result.seconds)})")


def expire(paper: Paper, result: ExpireResult) -> None:
    """Each point, and why it is kept or removed."""
    table = Table("point", "", "why")
    for line in result.decisions:
        word = Text("keep", style="green") if line.keep else Text("remove", style="red")
        table.add_row(line.point, word, ", ".join(line.reasons))
    paper.print(table)
    verb = "would be removed" if result.dry_run else "removed"
    paper.print(f"{result.removed} recovery points {verb}, {result.kept} kept")
    if result.vault is not None:
        show_vault.expiry(paper, result.vault, dry_run=result.dry_run)
