"""The check that a restored database's tables are what they were, and its controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from drkit.checks import rows
from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed, verdict
from drkit.database import evidence as evidences
from drkit.database import locked
from drkit.errors import ToolFailed
from drkit.model import CheckKind, DatabaseEvidence
from drkit.tools.postgres import programs as postgres_programs
from drkit.tools.postgres import sessions
from drkit.tools.postgres.programs import Programs
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute


def checks(target: Target, evidence: DatabaseEvidence) -> Iterator[Check]:
    """The checks of one restored database."""
    yield Check(CheckKind.TABLES, lambda: tables_equal(target, evidence), evidence.name)


def tables_equal(target: Target, evidence: DatabaseEvidence) -> Finding:
    """Every table has the rows and the content that it had in the snapshot that was dumped."""
    faults = evidences.differences(target, evidence)
    if not evidence.tables and not faults:
        return not_provable("the database had no table when it was backed up")
    return verdict(faults, evidences.what_agreed(evidence))


def controls(
    target: Target, evidence: DatabaseEvidence, archive: Path, programs: Programs
) -> Iterator[Control | Unplanted]:
    """Rows that are gone, new or changed, and a dump that stops in the middle."""
    yield from rows.controls(target, evidence)
    yield _sequence_control(target, evidence)
    yield Control(
        f"truncated dump of {evidence.name}",
        "the dump cut off in the middle",
        lambda: _cut_dump(archive, programs),
    )


def _sequence_control(target: Target, evidence: DatabaseEvidence) -> Control | Unplanted:
    """A sequence that would give a number again; in what was read, for sequences cannot be rolled back."""
    name = f"sequence set back in {evidence.name}"
    used = next((s for s in evidence.sequences if s.last_value is not None and not s.cycle), None)
    if used is None:
        return Unplanted(name, "no sequence has been used")

    def look() -> Finding:
        with sessions.connect(target) as session:
            found = locked.read_sequences(session)
        short = [
            replace(s, last_value=used.last_value - used.increment)
            if (s.schema, s.sequence) == (used.schema, used.sequence) and used.last_value is not None
            else s
            for s in found
        ]
        return verdict(list(evidences.sequence_faults(short, evidence.sequences)), "no difference seen")

    return Control(name, f"{used.schema}.{used.sequence} one short", look)


def _cut_dump(archive: Path, programs: Programs) -> Finding:
    """Give pg_restore the first half of the dump, or as much of it as is quickly read."""
    length = min(archive.stat().st_size // 2, 32 << 20)

    def half() -> Iterator[bytes]:
        left = length
        with archive.open("rb") as file:
            while left and (piece := file.read(min(left, 1 << 20))):
                left -= len(piece)
                yield piece

    try:
        for _ in execute.lines(
            postgres_programs.read_archive(programs), stdin=half(), ended=postgres_programs.raise_if_failed
        ):
            pass
    except ToolFailed as error:
        return failed(error.message)
    return passed("pg_restore took it for whole")
