"""What a drill proved and what it could not, in a few lines; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drkit.harbor import versions
from drkit.model import (
    CheckKind,
    CheckResult,
    DatabaseEvidence,
    DatabaseSummary,
    Level,
    Outcome,
    PointManifest,
    Reason,
    Statement,
    TableEvidence,
    Unplanted,
)
from drkit.tools.tally import first_few


@dataclass(frozen=True)
class Line:
    """A check, or several that came out alike, as one line for a person."""

    name: str
    outcome: Outcome
    detail: str
    seconds: float


def fold(checks: Sequence[CheckResult]) -> tuple[Line, ...]:
    """The checks with the many relations that came out alike in one line; what failed stays as it is."""
    held = alike(checks, CheckKind.RELATION)
    folded: list[Line] = []
    for check in checks:
        match check.kind, check.outcome:
            case (_, Outcome.NOT_PROVABLE) | (CheckKind.INVENTORY, Outcome.PASSED):
                pass
            case CheckKind.RELATION, Outcome.PASSED:
                folded += [_together(held)] if check is held[0] else []
            case _:
                folded.append(Line(check.name, check.outcome, check.detail, check.seconds))
    return tuple(folded)


def alike(
    checks: Iterable[CheckResult], kind: CheckKind, outcome: Outcome = Outcome.PASSED
) -> tuple[CheckResult, ...]:
    """The checks of one kind with one outcome."""
    return tuple(check for check in checks if check.kind is kind and check.outcome is outcome)


def _together(held: Sequence[CheckResult]) -> Line:
    keys = sum(check.reason is Reason.FOREIGN_KEY for check in held)
    litter = sum(check.reason is Reason.LITTER for check in held)
    said = f"{len(held)} kinds of rows refer only to what is there"
    said += f", {keys} of them by a foreign key" if keys else ""
    said += f", and in {litter} some to nothing, as is normal" if litter else ""
    return Line("relations", Outcome.PASSED, said, round(sum(check.seconds for check in held), 3))


def came_back(checks: Iterable[CheckResult]) -> tuple[Statement, ...]:
    """The inventory, as far as it is that of the backup."""
    return tuple(Statement(line.subject, line.detail) for line in alike(checks, CheckKind.INVENTORY))


def unproved(
    manifest: PointManifest, checks: Sequence[CheckResult], unplanted: Sequence[Unplanted], level: Level
) -> Iterator[Statement]:
    """What this drill does not show, and why."""
    for part, what in (
        (manifest.part("database"), "no database"),
        (manifest.images, "no images"),
        (manifest.part("secrets"), "no secrets"),
    ):
        if part is None:
            yield Statement(what, "none is in this point, so nothing is known of them")
    if level == "quick" and manifest.images:
        yield Statement("all other images", "a quick drill restores a sample; the closure was not compared")
    for database in manifest.databases:
        if database.counted_only:
            said = f"as configured, these were only counted: {names_of(database.counted_only)}"
            yield Statement(f"content of tables of {database.name}", said)
        if database.large_objects and database.large_objects.objects and database.large_objects.hash is None:
            said = f"{database.large_objects.objects:,} were counted; the backup's user may not read them"
            yield Statement(f"content of large objects of {database.name}", said)
    empty = alike(checks, CheckKind.RELATION, Outcome.NOT_PROVABLE)
    if empty:
        yield Statement("relations without rows", ", ".join(check.subject for check in empty))
    for check in checks:
        if check.outcome is Outcome.NOT_PROVABLE and check not in empty:
            yield Statement(check.name, check.detail)
    for fault in unplanted:
        yield Statement(f"that {fault.name} would be caught", fault.reason)


def held_outside(taken: Iterable[tuple[str, Path]]) -> Statement:
    """What a drill took from the machine that it ran on: another one has to get it elsewhere."""
    named = ", ".join(f"{what} ({path})" for what, path in taken)
    return Statement("what is held outside the point", f"{named}: whether a copy is elsewhere was not tried")


def names_of(tables: Sequence[TableEvidence]) -> str:
    """The first few tables by name."""
    return first_few([table.label for table in tables], most=5)


def summary(evidence: DatabaseEvidence) -> DatabaseSummary:
    """What a report tells of a database."""
    return DatabaseSummary(
        evidence.name,
        evidence.server_version,
        evidence.harbor_schema,
        evidence.extensions,
        evidence.tables,
        len(evidence.sequences),
        evidence.large_objects.objects if evidence.large_objects else 0,
    )


def server(database: DatabaseSummary) -> str:
    """`PostgreSQL 15.12, Harbor 2.14.0 (schema 170), extensions plpgsql 1.0`."""
    said = [f"PostgreSQL {database.server_version // 10_000}.{database.server_version % 10_000}"]
    if database.harbor_schema is not None:
        said.append(versions.describe(database.harbor_schema))
    if database.extensions:
        said.append("extensions " + ", ".join(f"{n} {v}" for n, v in sorted(database.extensions.items())))
    return ", ".join(said)


def coverage(database: DatabaseSummary) -> str:
    """`49 tables, 2,016 rows, all hashed; 45 sequences`, or how many tables are only counted."""
    rows = sum(table.rows for table in database.tables)
    counted = [table for table in database.tables if table.hash is None]
    how = f"{len(counted)} only counted: {names_of(counted)}" if counted else "all hashed"
    said = f"{len(database.tables)} tables, {rows:,} rows, {how}"
    said += f"; {database.sequences} sequences" if database.sequences else ""
    return said + (f", {database.large_objects:,} large objects" if database.large_objects else "")
