"""An audit as a person reads it: projects, the worst first; then what is wrong, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.actions.audit.plan import OF_BLOBS, FaultKind
from drkit.cli.output import Table
from drkit.cli.views import cluster, layout
from drkit.reports.units import counted, duration, moment, size

if TYPE_CHECKING:
    from drkit.actions.audit.repair import Repair, RepairPlan
    from drkit.actions.audit.result import AuditResult, ProjectAudit
    from drkit.cli.output import Output

# So many projects are shown; the others are summed up. --json has them all.
_MOST = 25
_NOWHERE = "(linked from nowhere)"
_HEADINGS = {
    FaultKind.MISSING: "missing blobs",
    FaultKind.WRONG_SIZE: "blobs of the wrong size",
    FaultKind.WRONG_BYTES: "blobs with wrong bytes",
    FaultKind.BAD_LINK: "links that are empty or wrong: a registry fails on each",
    FaultKind.MISSING_LINK: "layers that their repository has no link to: pulls fail",
    FaultKind.DANGLING_TAG: "tags that lead to no image",
    FaultKind.DANGLING_ROW: "rows that lead nowhere",
    FaultKind.BAD_MANIFEST: "manifests that cannot be used",
    FaultKind.UNLISTED: "digests that manifests need, and that no table knows",
}


def audit(paper: Output, found: AuditResult) -> None:
    """An audit; its verdict comes last, where the eye is."""
    _projects(paper, found)
    paper.print()
    _figures(paper, found)
    cluster.shared(paper, found.cluster)
    for kind, words in _HEADINGS.items():
        _faults(paper, found, kind, words)
    if found.repair:
        _repair(paper, found.repair)
    for line in found.swept:
        paper.print(line)
    layout.warn(paper, found.notes)
    paper.print()
    if paper.succeeded:
        paper.print(
            Text("database and images belong together" if found.databases else "the images are whole")
        )


def _projects(paper: Output, found: AuditResult) -> None:
    recorded = bool(found.databases)
    table = Table(
        "project",
        ">blobs",
        ">stored",
        *([">in Harbor"] if recorded else []),
        ">unreferenced",
        ">damaged",
        "",
    )
    for project in found.projects[:_MOST]:
        counted = [] if not recorded else [_size(project.recorded_bytes)]
        damaged = Text(
            f"{project.damaged:,}" if project.damaged else "-", style="red" * bool(project.damaged)
        )
        table.add_row(
            project.name or _NOWHERE,
            f"{project.blobs:,}",
            size(project.bytes),
            *counted,
            size(project.unreferenced_bytes) if project.unreferenced else "-",
            damaged,
            _kinds(project),
        )
    paper.print(table)
    if (more := len(found.projects) - _MOST) > 0:
        paper.print(f"and {more:,} more projects: --json names them all")


def _size(count: int | None) -> str:
    return "-" if count is None else size(count)


def _blobs(count: int) -> str:
    return counted(count, "blob")


def _kinds(project: ProjectAudit) -> str:
    return ", ".join(f"{project.faults[kind]:,} {kind.value.replace('_', ' ')}" for kind in project.faults)


def _figures(paper: Output, found: AuditResult) -> None:
    unreferenced = "none"
    if found.unreferenced:
        unreferenced = f"{_blobs(found.unreferenced)}, {size(found.unreferenced_bytes)}"
        unreferenced += ": nothing needs them, and garbage collection may remove them"
    stale = f"; {_blobs(found.stale_links)} linked that are gone, and that nothing needs"
    lost = found.counts.get(FaultKind.MISSING, 0)
    lines: list[tuple[str, str | Text]] = [
        ("images in", found.where),
        ("stored", f"{found.stored:,} blobs, {size(found.stored_bytes)}"),
        ("referred to", f"{found.referenced:,} blobs, {found.referenced - lost:,} of them are there"),
        ("unreferenced", unreferenced),
        ("links", f"{found.links:,}{stale if found.stale_links else ''}"),
        ("manifests", f"{found.manifests:,}"),
    ]
    if found.databases:
        lines.insert(0, ("database", f"{', '.join(found.databases)}, as at {moment(found.consistent_at)}"))
    if found.read_data_subset:
        read = f"{found.read:,} blobs, {size(found.read_bytes)} ({found.read_data_subset})"
        lines.append(("hashed", read))
    else:
        lines.append(("hashed", "none: --read-data-subset 5% reads some, 100% all"))
    lines.append(("time", duration(found.seconds)))
    layout.facts(paper, lines)


def _faults(paper: Output, found: AuditResult, kind: FaultKind, words: str) -> None:
    count = found.counts.get(kind, 0)
    if not count:
        return
    layout.heading(paper, f"{words}: {count:,}")
    named = [fault for fault in found.faults if fault.kind is kind]
    for fault in named:
        where = f"  ({fault.project})" if fault.project and kind in OF_BLOBS else ""
        paper.print(f"  {fault.said}{where}")
    if kind is not FaultKind.DANGLING_ROW and count > len(named):
        paper.print(f"  and {count - len(named):,} more")


def plan(paper: Output, wanted: RepairPlan) -> None:
    """What a repair would do."""
    paper.print(f"recovery point {wanted.point}, consistent at {moment(wanted.consistent_at)}")
    layout.facts(
        paper,
        [
            ("put back", f"{_blobs(wanted.blobs)}, {size(wanted.bytes)}"),
            ("from", wanted.source),
            ("into", wanted.where),
            ("damaged ones", "keep another name: nothing is deleted"),
        ],
    )
    _named(paper, wanted.names, wanted.blobs)
    if wanted.lacking:
        layout.heading(paper, f"not in this recovery point: {_blobs(wanted.lacking)}")
        _named(paper, wanted.lacking_names, wanted.lacking)


def _named(paper: Output, names: tuple[str, ...], count: int) -> None:
    for name in names:
        paper.print(f"  {name}")
    if count > len(names):
        paper.print(f"  and {count - len(names):,} more")


def _repair(paper: Output, found: Repair) -> None:
    layout.heading(paper, "repair")
    if not found.done:
        plan(paper, found.plan)
        return
    already = f"; {found.already:,} were right by then" if found.already else ""
    paper.print(
        f"put back from recovery point {found.plan.point}: {_blobs(found.put)}, {size(found.bytes)}{already}"
    )
    for path in found.set_aside:
        paper.print(f"  set aside: {path}")
    if found.lacking:
        paper.print(f"could not be had from it: {_blobs(found.lacking)}")
        _named(paper, found.lacking_names, found.lacking)
