"""Controls on rows: one dropped, one added, one changed, each in a copy that the comparison must see through.

A copy of at most a hundred rows of one table, temporary and rolled back: no constraint keeps the fault from
being planted, nobody else is in its way, and it costs the same at any size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import LiteralString

from drkit.checks.finding import Control, Finding, Unplanted, failed, passed
from drkit.database import evidence as evidences
from drkit.database import rowhash
from drkit.errors import ToolFailed
from drkit.model import DatabaseEvidence, Outcome, TableEvidence
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target

_COPY = "drkit_control"
_COPIED = 100
# So many tables are looked at for a value of each type.
_TRIED = 8

# How to change a value as little as can be, by type (pg_type.typname); a value of any other becomes NULL.
_CHANGES: dict[str, LiteralString] = {
    "bool": "NOT {c}",
    "int2": "({c} # 1::int2)",
    "int4": "({c} # 1)",
    "int8": "({c} # 1::int8)",
    "numeric": "({c} + 0.000001)",
    "float4": "({c} * 1.000001::float4 + 0.000001::float4)",
    "float8": "({c} * 1.000000000001 + 1e-9)",
    "text": "({c} || ' ')",
    "varchar": "(left({c}, -1) || CASE WHEN {c} LIKE '%x' THEN 'y' ELSE 'x' END)",
    "bpchar": "(left({c}, -1) || CASE WHEN {c} LIKE '%x' THEN 'y' ELSE 'x' END)",
    "bytea": "({c} || '\\x00'::bytea)",
    "timestamp": "({c} + interval '1 microsecond')",
    "timestamptz": "({c} + interval '1 microsecond')",
    "date": "({c} + 1)",
    "interval": "({c} + interval '1 microsecond')",
    "json": "json_build_object('drkit', {c})",
    "jsonb": "jsonb_build_object('drkit', {c})",
}


@dataclass(frozen=True)
class Column:
    """A column with a value that can be changed; `exact` says that a small change to it is one."""

    table: TableEvidence
    name: str
    type: str
    exact: bool

    @property
    def changed(self) -> sql.Part:
        """The expression for another value."""
        change = _CHANGES.get(self.type) if self.exact else None
        if change is None:
            return sql.literal(None)
        return sql.compose(change, c=sql.identifier(self.name))


def controls(target: Target, evidence: DatabaseEvidence) -> Iterator[Control | Unplanted]:
    """The controls of one database; a fault for which there is no row is told as such."""
    name = evidence.name
    kinds = (f"dropped row in {name}", f"row added to {name}", f"changed row in {name}")
    filled = sorted((t for t in evidence.tables if t.rows), key=lambda t: t.rows)
    if not filled:
        yield from (Unplanted(kind, "no table has a row") for kind in kinds)
        return
    smallest = filled[0]
    where = smallest.label
    yield Control(kinds[0], f"one row of {where} deleted", lambda: _one_seen(target, smallest, _DROP))
    yield Control(kinds[1], f"one row of {where} doubled", lambda: _one_seen(target, smallest, _ADD))
    columns = _columns(target, [table for table in filled if table.hash is not None])
    if not columns:
        yield Unplanted(kinds[2], "no table that is hashed has a value to change")
        return
    types = ", ".join(sorted(column.type for column in columns))
    planted = f"one value at a time, of each type there is: {types}"
    yield Control(kinds[2], planted, lambda: all_seen(target, columns))


_TABLE = sql.identifier("pg_temp", _COPY)
_FIRST = sql.compose("(SELECT min(ctid) FROM {t})", t=_TABLE)
_DROP = sql.compose("DELETE FROM {t} WHERE ctid = {first}", t=_TABLE, first=_FIRST)
_ADD = sql.compose("INSERT INTO {t} SELECT * FROM {t} WHERE ctid = {first}", t=_TABLE, first=_FIRST)


def _change(column: Column) -> sessions.Query:
    return sql.compose(
        "UPDATE {t} SET {c} = {new} WHERE ctid = (SELECT min(ctid) FROM {t} WHERE {differs})",
        t=_TABLE,
        c=sql.identifier(column.name),
        new=column.changed,
        differs=_differs(column),
    )


def _differs(column: Column) -> sql.Part:
    """As text, for not every type can be compared."""
    name = sql.identifier(column.name)
    return sql.compose("{c}::text IS DISTINCT FROM ({new})::text", c=name, new=column.changed)


def _one_seen(target: Target, table: TableEvidence, fault: sessions.Query) -> Finding:
    with sessions.connect(target) as session:
        return _seen(session, table, fault)


def _seen(session: Session, table: TableEvidence, fault: sessions.Query) -> Finding:
    """Plant one fault in a copy of a table, and compare its evidence before and after."""
    with session.undone():
        _copy(session, table)
        expected = _describe(session, table)
        if session.execute(fault) != 1:
            raise ToolFailed(f"no fault could be planted in a copy of {table.label}")
        found = _describe(session, table)
    return passed(f"no difference seen in {table.table}") if found == expected else failed("seen")


def all_seen(target: Target, columns: Sequence[Column]) -> Finding:
    """Change a value of each column in turn: failed if each change was seen, passed for one that was not."""
    with sessions.connect(target) as session:
        for column in columns:
            finding = _seen(session, column.table, _change(column))
            if finding.outcome is not Outcome.FAILED:
                return passed(f"a changed {column.type} in {column.table.table}.{column.name} was not seen")
    return failed("every change was seen")


def _copy(session: Session, table: TableEvidence) -> None:
    """Copy the first rows."""
    # A large table would otherwise be read from wherever another session is.
    session.execute("SELECT set_config('synchronize_seqscans', 'off', true)")
    source = sql.identifier(table.schema, table.table)
    names = [sql.identifier(each.name) for each in rowhash.columns(session, table.schema, table.table)]
    copy = "CREATE TEMPORARY TABLE {name} AS SELECT {columns} FROM ONLY {source} LIMIT {rows}"
    name, rows = sql.identifier(_COPY), sql.literal(_COPIED)
    columns = sql.joined(", ", names)
    session.execute(sql.compose(copy, name=name, columns=columns, source=source, rows=rows))


def _describe(session: Session, table: TableEvidence) -> TableEvidence:
    """The copy, as evidence of the table whose rows it has."""
    found = evidences.hash_table(session, "pg_temp", _COPY)
    return replace(table, rows=found.rows, hash=found.hash if table.hash is not None else None)


def _columns(target: Target, tables: Sequence[TableEvidence]) -> tuple[Column, ...]:
    """For each type one column with a value to change, of the smallest tables that have one."""
    query = (
        "SELECT n.nspname, c.relname, a.attname, t.typname, a.atttypmod = -1 OR t.typcategory = 'S'"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype <> 'd'"
        " AND a.attgenerated <> 'v'"
    )
    with sessions.connect(target) as session, session.undone():
        session.execute("SELECT set_config('synchronize_seqscans', 'off', true)")
        of: dict[tuple[str, str], list[tuple[str, str, bool]]] = {}
        for schema, table, name, kind, exact in session.rows(query):
            of.setdefault((schema, table), []).append((name, kind, exact))
        found: dict[str, Column] = {}
        tried: dict[str, int] = {}
        for evidence in tables:
            for name, kind, exact in of.get((evidence.schema, evidence.table), ()):
                if kind in found or tried.get(kind, 0) >= _TRIED:
                    continue
                tried[kind] = tried.get(kind, 0) + 1
                # Infinity plus one is infinity: then the value is made NULL.
                ways = (Column(evidence, name, kind, way) for way in ((True, False) if exact else (False,)))
                way = next((column for column in ways if _changeable(session, column)), None)
                if way:
                    found[kind] = way
    return tuple(found.values())


def _changeable(session: Session, column: Column) -> bool:
    query = "SELECT EXISTS (SELECT FROM (SELECT {c} FROM ONLY {t} LIMIT {rows}) AS few WHERE {differs})"
    return bool(
        session.value(
            sql.compose(
                query,
                c=sql.identifier(column.name),
                t=sql.identifier(column.table.schema, column.table.table),
                rows=sql.literal(_COPIED),
                differs=_differs(column),
            )
        )
    )
