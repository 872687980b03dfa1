"""One recovery point as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli import layout
from drkit.harbor import torn
from drkit.reports import statements
from drkit.reports.units import moment, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import Console

    from drkit.actions.points import PointDetails
    from drkit.model import CertificateFacts, DatabaseEvidence

_TABLES = 10


def point(console: Console, found: PointDetails) -> None:
    """Everything about one point; what proves it comes last, where the eye is."""
    layout.facts(
        console,
        [
            ("point", found.id),
            ("status", found.status.value),
            ("consistent at", moment(found.consistent_at)),
            ("size", size(found.bytes)),
            ("taken on", f"{found.host}, drkit {found.versions.get('drkit', '?')}"),
            ("closure", layout.closure(found.closure)),
            *layout.volume(found.volume),
            *layout.bucket(found.bucket),
        ],
    )
    console.print()
    console.print(layout.parts(found.parts))
    for evidence in found.databases:
        _database(console, evidence)
    if found.secret_files:
        layout.heading(console, f"secrets: {len(found.secret_files)} files")
        for file in found.secret_files:
            said = f"  {file.path}: {file.what}" if file.what else f"  {file.path}"
            console.print(Text(said), soft_wrap=True)
        layout.facts(console, [("  opens for", "\n".join(found.recipients) or "-")])
    if found.certificates:
        _certificates(console, found.certificates)
    layout.gaps(console, found.closure)
    layout.heading(console, "drills" if found.drills else "drills: none, so nothing is proven yet")
    for note in found.drills:
        console.print(Text(f"  {note.id} ").append_text(layout.drill_note(note)))
    layout.warn(console, found.warnings)


def _database(console: Console, evidence: DatabaseEvidence) -> None:
    summary = statements.summary(evidence)
    layout.heading(console, f"database {evidence.name}: {statements.server(summary)}")
    pairs = [("  evidence", statements.coverage(summary))]
    if evidence.inventory is not None:
        pairs += [(f"  {line.name}", line.said) for line in evidence.inventory]
    if evidence.relations is not None:
        faults = [torn.describe(one) for one in evidence.relations if one.torn]
        said = "; ".join(faults) or f"{len(evidence.relations)} looked at, none is torn"
        pairs.append(("  relations", said))
    layout.facts(console, pairs)
    largest = sorted(evidence.tables, key=lambda table: -table.rows)
    table = layout.table("  largest tables", ">rows", "hash")
    for entry in largest[:_TABLES]:
        table.add_row(Text(f"  {entry.label}"), f"{entry.rows:,}", entry.hash or "counted only")
    console.print(table)
    if len(largest) > _TABLES:
        console.print(f"  and {len(largest) - _TABLES} smaller ones: --json has them all")


def _certificates(console: Console, certificates: Sequence[CertificateFacts]) -> None:
    """Each certificate once, however many files hold it, the first to expire first."""
    found: dict[tuple[datetime, str], list[str]] = {}
    for each in certificates:
        found.setdefault((each.not_after, each.subject), []).append(each.path)
    table = layout.table("  certificates", "valid until", "in")
    for (end, subject), paths in sorted(found.items()):
        table.add_row(Text(f"  {subject}"), f"{end:%Y-%m-%d}", Text("\n".join(paths)))
    console.print(table)
