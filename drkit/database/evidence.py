"""Evidence: facts about a database's content, gathered in a snapshot and found again in what was restored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase

from drkit.database import restore_needs, rowhash
from drkit.database.locked import (
    LockedDatabase,
    TableName,
    can_read_passwords,
    list_tables,
    read_sequences,
    shared_session,
)
from drkit.database.shape import read_shape
from drkit.harbor import schema, tables
from drkit.model import DatabaseEvidence, LargeObjects, SequenceEvidence, TableEvidence
from drkit.tools.parallel import for_each_with
from drkit.tools.postgres import sessions as postgres
from drkit.tools.postgres import sql
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target

# pg_dump, pg_dumpall, and what looks at relations, digests and lists at the same time.
_OTHERS = 5
# What a restore depends on, or what an application may notice if it is another afterwards.
_SETTINGS = (
    "data_checksums",
    "default_text_search_config",
    "max_locks_per_transaction",
    "password_encryption",
    "server_version",
    "shared_preload_libraries",
    "standard_conforming_strings",
)

_TABLESPACES = """
SELECT DISTINCT t.spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
WHERE t.spcname <> 'pg_global' ORDER BY 1"""

# A page of zeros may be a hole, and zeros at a page's end may be missing: both read alike, none is counted.
LARGE_OBJECTS = """
SELECT coalesce(sum(hashtextextended(page COLLATE "C", hashint4extended(pageno, loid::int8))), 0)::text
FROM (SELECT loid, pageno, rtrim(encode(data, 'hex'), '0') AS page FROM pg_largeobject) AS p
WHERE page <> ''"""


def gather(held: LockedDatabase, count_only: Sequence[str] = ()) -> DatabaseEvidence:
    """Facts about the held database, read in sessions that share its snapshot.

    `count_only` names tables, by pattern, that are counted and not hashed.
    """

    def alone(name: TableName) -> bool:
        return counted_alone(name, count_only)

    with shared_session(held) as session:
        extensions = session.rows("SELECT extname, extversion FROM pg_extension ORDER BY 1")
        return DatabaseEvidence(
            name=held.name,
            shape=read_shape(session),
            server_version=session.server_version,
            extensions={str(name): str(version) for name, version in extensions},
            # The dump is under way, and takes as much of the machine as it can get: what is hashed at the
            # same time must be done before it ends, and not sooner.
            tables=_of_held(
                held, alone, min(_processors() // 2, postgres.free_connections(session) - _OTHERS)
            ),
            # The bootstrap superuser always has this id.
            superuser=session.value("SELECT pg_get_userbyid(10)"),
            harbor_schema=tables.schema_version(session),
            schema_fault=schema.look(session),
            role_passwords=can_read_passwords(session),
            sequences=held.sequences,
            large_objects=read_large_objects(session),
            settings=_settings(session),
            tablespaces=tuple(str(name) for (name,) in session.rows(_TABLESPACES)),
            needs=restore_needs.read(session),
            consistent_at=held.consistent_at,
        )


def _of_held(
    held: LockedDatabase, alone: Callable[[TableName], bool], sessions: int
) -> tuple[TableEvidence, ...]:
    found = of_tables(held.tables, lambda: shared_session(held), alone, max(1, sessions))
    return tuple(sorted((*found, *(TableEvidence(*name, 0, "0") for name in held.empty)), key=_name_of))


def _name_of(evidence: TableEvidence) -> TableName:
    return evidence.schema, evidence.table


def counted_alone(name: TableName, patterns: Sequence[str]) -> bool:
    """Whether a pattern (`audit_log`, `public.audit_*`) names this table."""
    schema, table = name
    return any(fnmatchcase(f"{schema}.{table}" if "." in pattern else table, pattern) for pattern in patterns)


def idle_patterns(names: Sequence[TableName], patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns that name no table: misspelt, perhaps."""
    return tuple(p for p in patterns if not any(counted_alone(name, [p]) for name in names))


def of_tables(
    names: Sequence[TableName],
    session: Callable[[], AbstractContextManager[Session]],
    alone: Callable[[TableName], bool] = lambda _name: False,
    sessions: int | None = None,
) -> tuple[TableEvidence, ...]:
    """Evidence of the tables named, over a few sessions side by side; give the largest tables first.

    `alone` says which are only counted. There are as many `sessions` as processors, but four at most.
    """
    done: list[TableEvidence] = []

    def look(own: Session, name: TableName) -> None:
        # Undone, what was read is locked no longer.
        with own.undone():
            done.append(count_table(own, *name) if alone(name) else hash_table(own, *name))

    workers = max(1, min(4, _processors() if sessions is None else sessions, len(names)))
    for_each_with(names, session, look, workers)
    return tuple(sorted(done, key=_name_of))


def _processors() -> int:
    return os.cpu_count() or 1


def hash_table(session: Session, schema: str, table: str) -> TableEvidence:
    """Row count, and the sum of a 64-bit hash of every row: the order of rows does not matter.

    A sum, not an XOR: two equal rows do not cancel out. See `rowhash` for what a row's hash is.
    """
    query = sql.compose(
        "SELECT count(*), coalesce(sum({row}), 0)::text FROM ONLY {table} AS r",
        row=rowhash.expression(rowhash.columns(session, schema, table)),
        table=sql.identifier(schema, table),
    )
    rows, digest = session.row(query)
    return TableEvidence(schema, table, int(rows), digest)


def count_table(session: Session, schema: str, table: str) -> TableEvidence:
    """The number of rows, and no more."""
    name = sql.identifier(schema, table)
    rows = session.value(sql.compose("SELECT count(*) FROM ONLY {table}", table=name))
    return TableEvidence(schema, table, int(rows), None)


def read_large_objects(session: Session) -> LargeObjects:
    """The large objects, their content only where this user may read it (superusers may)."""
    objects = int(session.value("SELECT count(*) FROM pg_largeobject_metadata"))
    readable = session.value("SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')")
    return LargeObjects(objects, session.value(LARGE_OBJECTS) if readable else None)


def _settings(session: Session) -> dict[str, str]:
    rows = session.rows("SELECT name, reset_val FROM pg_settings WHERE name = ANY(%s)", (list(_SETTINGS),))
    return {str(name): str(value) for name, value in sorted(rows)}


def differences(target: Target, evidence: DatabaseEvidence) -> tuple[str, ...]:
    """What this database's content has or lacks against the evidence, a sentence each; none is good."""
    with postgres.connect(target) as session:
        names = list_tables(session)
        sequences, large = read_sequences(session), read_large_objects(session)
    expected = {(t.schema, t.table): t for t in evidence.tables}
    said = [f"table {s}.{t} is missing" for s, t in sorted(expected.keys() - set(names))]
    said += [f"table {s}.{t} was not in the backup" for s, t in sorted(set(names) - expected.keys())]
    found = of_tables(
        [name for name in names if name in expected],
        lambda: postgres.connect(target, reads=True),
        lambda name: expected[name].hash is None,
    )
    said += [fault for table in found for fault in table_faults(table, expected[table.schema, table.table])]
    said += sequence_faults(sequences, evidence.sequences)
    if evidence.large_objects is not None:
        said += _large_object_faults(large, evidence.large_objects)
    return tuple(said)


def what_agreed(evidence: DatabaseEvidence) -> str:
    """What no difference means, in a sentence with numbers."""
    alone = evidence.counted_only
    said = f"{len(evidence.tables)} tables, {evidence.rows:,} rows, content identical"
    if alone:
        names = ", ".join(table.label for table in alone[:3])
        said += f", but {len(alone)} tables only counted: {names}{', ...' if len(alone) > 3 else ''}"
    return said


def table_faults(found: TableEvidence, expected: TableEvidence) -> Iterator[str]:
    """What is wrong with a restored table's content."""
    if found.rows != expected.rows:
        yield f"{expected.label} has {found.rows} rows instead of {expected.rows}"
    elif expected.hash is not None and found.hash != expected.hash:
        yield f"{expected.label} has the right number of rows ({expected.rows}) but other content"


def sequence_faults(found: Sequence[SequenceEvidence], expected: Sequence[SequenceEvidence]) -> Iterator[str]:
    """Sequences that are missing, or that would give a number again that they have given before."""
    there: Mapping[TableName, SequenceEvidence] = {(s.schema, s.sequence): s for s in found}
    for want in expected:
        label = f"sequence {want.schema}.{want.sequence}"
        have = there.get((want.schema, want.sequence))
        if have is None:
            yield f"{label} is missing"
        elif _behind(have, want):
            yield f"{label} stands at {have.last_value}, short of {want.last_value}"


def _behind(have: SequenceEvidence, want: SequenceEvidence) -> bool:
    if want.last_value is None or want.cycle:
        return False
    if have.last_value is None:
        return True
    return (have.last_value - want.last_value) * want.increment < 0


def _large_object_faults(found: LargeObjects, expected: LargeObjects) -> Iterator[str]:
    if found.objects != expected.objects:
        yield f"{found.objects} large objects instead of {expected.objects}"
    elif expected.hash is not None and found.hash is not None and found.hash != expected.hash:
        yield f"the {expected.objects} large objects have other content"
