"""Counting what is torn in Harbor's database: rows that refer to something that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import LiteralString

from drkit.harbor.relations import RELATIONS, Key, Relation
from drkit.model import RelationEvidence
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sessions import Session

_name = sql.identifier


def present(session: Session) -> tuple[Relation, ...]:
    """The relations of this version of Harbor: those whose tables and columns this database has."""
    query = (
        "SELECT c.relname, array_agg(a.attname::text)"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND a.attnum > 0 AND NOT a.attisdropped GROUP BY c.relname"
    )
    have = {table: set(columns) for table, columns in session.rows(query)}
    return tuple(relation for relation in RELATIONS if relation.fits(have))


def guarded(session: Session) -> frozenset[Key]:
    """The foreign keys that PostgreSQL itself has found to hold, as the keys of relations."""
    query = (
        "SELECT child.relname, parent.relname,"
        " (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k (num, n)"
        "  JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.num),"
        " (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY k (num, n)"
        "  JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.num)"
        " FROM pg_constraint f JOIN pg_class child ON child.oid = f.conrelid"
        " JOIN pg_class parent ON parent.oid = f.confrelid"
        " WHERE f.contype = 'f' AND f.convalidated AND child.relnamespace = 'public'::regnamespace"
        " AND parent.relnamespace = 'public'::regnamespace"
    )
    return frozenset(
        (child, tuple(columns), parent, tuple(keys)) for child, parent, columns, keys in session.rows(query)
    )


def settle(session: Session) -> None:
    """Settings for joins of large tables over digests, for this session.

    A restored database has no statistics yet, and sorting digests by a locale's rules takes longest of all.
    """
    session.execute("SELECT set_config('enable_mergejoin', 'off', false)")
    session.execute("SELECT set_config('work_mem', '64MB', false)")


def measure(session: Session, relation: Relation, *, trusted: bool = False) -> RelationEvidence:
    """Count the rows, and those that refer to nothing; with `trusted` a foreign key has done the latter."""
    child = _name("public", relation.child)
    only = sql.fragment(relation.only)
    query = sql.compose("SELECT count(*) FROM {child} c WHERE {only}", child=child, only=only)
    rows = int(session.value(query))
    if trusted or not rows:
        return RelationEvidence(relation.name, rows, 0, 0)
    torn, litter, example = session.row(_torn(relation))
    return RelationEvidence(relation.name, rows, int(torn), int(litter), example or "")


def measure_all(session: Session, tables: Set[str] | None = None) -> Iterator[RelationEvidence]:
    """Every relation that no foreign key guards; reads some tables twice, so give it a session of its own.

    With `tables`, those between rows of these alone.
    """
    settle(session)
    keys = guarded(session)
    for relation in present(session):
        wanted = tables is None or {relation.child, relation.parent} <= tables
        if wanted and relation.key not in keys:
            yield measure(session, relation)


def tearing(relation: Relation) -> sessions.Query:
    """A statement that deletes what one row of the child refers to."""
    return sql.compose(
        "DELETE FROM ONLY {parent} p WHERE EXISTS (SELECT FROM (SELECT c.* FROM {child} c WHERE ({only})"
        " AND EXISTS (SELECT FROM {parent} p WHERE {same}) LIMIT 1) c WHERE {same})",
        parent=_name("public", relation.parent),
        child=_name("public", relation.child),
        same=_same(relation),
        only=sql.fragment(relation.only),
    )


def _torn(relation: Relation) -> sessions.Query:
    given = [
        sql.compose("c.{column} IS NOT NULL", column=_name(column))
        for column in dict.fromkeys(relation.columns)
    ]
    return sql.compose(
        "SELECT count(*) FILTER (WHERE NOT ({litter})), count(*) FILTER (WHERE {litter}),"
        " min({name} || ' ' || c.{first}) FILTER (WHERE NOT ({litter}))"
        " FROM {child} c WHERE ({only}) AND {given}"
        " AND NOT EXISTS (SELECT FROM {parent} p WHERE {same})",
        litter=sql.fragment(relation.litter),
        name=sql.literal(relation.columns[0]),
        first=_name(relation.columns[0]),
        child=_name("public", relation.child),
        only=sql.fragment(relation.only),
        given=sql.joined(" AND ", given),
        parent=_name("public", relation.parent),
        same=_same(relation),
    )


def _same(relation: Relation) -> sql.Part:
    pair: LiteralString = "p.{key} = c.{column}::text" if relation.as_text else "p.{key} = c.{column}"
    pairs = [
        sql.compose(pair, key=_name(k), column=_name(c))
        for c, k in zip(relation.columns, relation.keys, strict=True)
    ]
    if relation.where != "true":
        pairs.append(sql.compose("{where}", where=sql.fragment(relation.where)))
    return sql.joined(" AND ", pairs)
