"""One recovery point as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.cli.views import layout
from drkit.harbor import wording
from drkit.model import utc_now
from drkit.reports import sentences, statements
from drkit.reports.units import moment, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from drkit.actions.points import PointDetails
    from drkit.cli.output import Output
    from drkit.model import CertificateFacts, DatabaseEvidence

_TABLES = 10


def point(paper: Output, found: PointDetails) -> None:
    """Everything about one point; what proves it comes last, where the eye is."""
    layout.facts(
        paper,
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
    paper.print()
    paper.print(layout.parts(found.parts))
    for evidence in found.databases:
        _database(paper, evidence)
    if found.secret_files:
        layout.heading(paper, f"secrets: {len(found.secret_files)} files")
        for file in found.secret_files:
            said = f"  {file.path}: {file.what}" if file.what else f"  {file.path}"
            paper.print(said)
        layout.facts(paper, [("  opens for", "\n".join(found.recipients) or "-")])
    if found.certificates:
        _certificates(paper, found.certificates)
    layout.gaps(paper, found.closure)
    layout.heading(paper, "drills" if found.drills else "drills: none, so nothing is proven yet")
    for note in found.drills:
        paper.print(Text(f"  {note.id} ").append_text(layout.drill_note(note)))
    if found.keys_unproven:
        paper.print("  not proven with the new keys: its secrets were encrypted again since; drill it again")
    if found.reread:
        layout.heading(paper, "read and compared with their hashes, which stands in for no drill")
        for store in found.reread:
            paper.print(f"  {sentences.reread(store, utc_now())}")
    layout.warn(paper, found.warnings)


def _database(paper: Output, evidence: DatabaseEvidence) -> None:
    summary = statements.summary(evidence)
    layout.heading(paper, f"database {evidence.name}: {statements.server(summary)}")
    pairs = [("  evidence", statements.coverage(summary))]
    if evidence.inventory is not None:
        pairs += [(f"  {line.name}", line.said) for line in evidence.inventory]
    if evidence.relations is not None:
        faults = [wording.relation(one) for one in evidence.relations if one.torn]
        said = "; ".join(faults) or f"{len(evidence.relations)} looked at, none is torn"
        pairs.append(("  relations", said))
    layout.facts(paper, pairs)
    largest = sorted(evidence.tables, key=lambda table: -table.rows)
    table = Table("  largest tables", ">rows", "hash")
    for entry in largest[:_TABLES]:
        table.add_row(f"  {entry.label}", f"{entry.rows:,}", entry.hash or "counted only")
    paper.print(table)
    if len(largest) > _TABLES:
        paper.print(f"  and {len(largest) - _TABLES} smaller ones: --json has them all")


def _certificates(paper: Output, certificates: Sequence[CertificateFacts]) -> None:
    """Each certificate once, however many files hold it, the first to expire first."""
    found: dict[tuple[datetime, str], list[str]] = {}
    for each in certificates:
        found.setdefault((each.not_after, each.subject), []).append(each.path)
    table = Table("  certificates", "valid until", "in")
    for (end, subject), paths in sorted(found.items()):
        table.add_row(f"  {subject}", f"{end:%Y-%m-%d}", "\n".join(paths))
    paper.print(table)
