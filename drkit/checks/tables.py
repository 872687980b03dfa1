"""Checks on a restored database: its tables are what they were, and Harbor's own relations hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drkit.checks.finding import Check, Control, Finding, failed, passed, verdict
from drkit.errors import ToolFailed
from drkit.harbor import tables
from drkit.model import DatabaseEvidence, TableEvidence
from drkit.sources import evidence as evidences
from drkit.tools import postgres, process
from drkit.tools.postgres import Programs, Target

# name -> (what is counted, rows that would be torn). Harbor declares no foreign key for these.
_RELATIONS: dict[str, tuple[str, str]] = {
    "artifact blobs": (
        "artifact_blob",
        # A proxy cache may know of blobs that it has not fetched.
        "SELECT count(*) FROM public.artifact_blob ab LEFT JOIN public.blob b ON b.digest = ab.digest_blob"
        " WHERE b.id IS NULL AND EXISTS (SELECT FROM public.artifact a"
        " JOIN public.project p USING (project_id)"
        " WHERE a.digest = ab.digest_af AND p.registry_id IS NULL)",
    ),
    "artifacts": (
        "artifact",
        "SELECT count(*) FROM public.artifact a LEFT JOIN public.repository r USING (repository_id)"
        " WHERE r.repository_id IS NULL",
    ),
    "tags": (
        "tag",
        "SELECT count(*) FROM public.tag t LEFT JOIN public.artifact a ON a.id = t.artifact_id"
        " WHERE a.id IS NULL",
    ),
    "repositories": (
        "repository",
        "SELECT count(*) FROM public.repository r LEFT JOIN public.project p USING (project_id)"
        " WHERE p.project_id IS NULL",
    ),
}


def checks(target: Target, evidence: DatabaseEvidence) -> Iterator[Check]:
    """The checks of one restored database."""
    yield Check(f"tables of {evidence.name}", lambda: tables_equal(target, evidence))
    with postgres.connect(target) as session:
        harbor = tables.is_harbor(session)
    if harbor:
        yield Check(f"relations of {evidence.name}", lambda: relations_hold(target))


def tables_equal(target: Target, evidence: DatabaseEvidence) -> Finding:
    """Every table has the rows and the content that it had in the snapshot that was dumped."""
    faults = evidences.differences(target, evidence)
    return verdict(faults, evidences.what_agreed(evidence))


def relations_hold(target: Target) -> Finding:
    """Rows that belong together are there together."""
    faults, counts = [], []
    with postgres.connect(target) as session:
        for name, (table, torn) in _RELATIONS.items():
            broken = session.value(postgres.trusted(torn))
            rows = session.value(
                postgres.compose("SELECT count(*) FROM {t}", t=postgres.identifier("public", table))
            )
            counts.append(f"{rows:,} {name}")
            if broken:
                faults.append(f"{broken} of {rows} {name} refer to nothing")
    return verdict(faults, ", ".join(counts))


def controls(
    target: Target, evidence: DatabaseEvidence, archive: Path, programs: Programs
) -> Iterator[Control]:
    """A row that is gone, and a dump that stops in the middle."""
    table = min((t for t in evidence.tables if t.rows and t.hash), key=lambda t: t.rows, default=None)
    if table is not None:
        name = f"{table.schema}.{table.table}"
        yield Control(
            f"dropped row in {evidence.name}",
            f"one row of {name} deleted",
            lambda: _without_a_row(target, table),
        )
    yield Control(
        f"truncated dump of {evidence.name}",
        "the dump cut off in the middle",
        lambda: _cut_dump(archive, programs),
    )


def _without_a_row(target: Target, expected: TableEvidence) -> Finding:
    with postgres.connect(target) as session, session.undone():
        # Deferred to nobody: no trigger and no foreign key keeps the fault from being planted.
        session.execute("SET LOCAL session_replication_role = replica")
        name = postgres.identifier(expected.schema, expected.table)
        query = "DELETE FROM ONLY {t} WHERE ctid = (SELECT min(ctid) FROM ONLY {t})"
        session.execute(postgres.compose(query, t=name))
        found = evidences.hash_table(session, expected.schema, expected.table)
    return passed("no difference seen") if found == expected else failed("a difference was seen")


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
        for _ in process.lines(postgres.read_archive(programs), stdin=half(), ended=postgres.raise_if_failed):
            pass
    except ToolFailed as error:
        return failed(error.message)
    return passed("pg_restore took it for whole")
