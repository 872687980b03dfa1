"""A database's shape as SQL: the statements that make it as it was, and the ones that count what is in it.

The restore runs the first; the recovery script of each point carries all of them as text for psql.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString

from drkit.database import rowhash
from drkit.database.evidence import LARGE_OBJECTS
from drkit.model import (
    DatabaseEvidence,
    DatabaseShape,
    LargeObjects,
    SequenceEvidence,
    Setting,
    TableEvidence,
)
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sql import Part, Statement

# Settings whose stored value is a list of quoted names, and so must not be quoted as one string
# (variable_is_guc_list_quote in PostgreSQL's dumputils.c).
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}


def creation(shape: DatabaseShape, name: str) -> Statement:
    """`CREATE DATABASE` for an empty one of that name with the shape's owner, encoding and collation."""
    options = [
        sql.compose("OWNER {value}", value=sql.identifier(shape.owner)),
        sql.compose("ENCODING {value}", value=sql.literal(shape.encoding)),
        sql.compose("LC_COLLATE {value}", value=sql.literal(shape.collate)),
        sql.compose("LC_CTYPE {value}", value=sql.literal(shape.ctype)),
    ]
    locale = sql.literal(shape.locale)
    match shape.locale_provider:
        case "icu":
            options.append(sql.compose("LOCALE_PROVIDER icu ICU_LOCALE {locale}", locale=locale))
            if shape.locale_rules:
                rules = sql.literal(shape.locale_rules)
                options.append(sql.compose("ICU_RULES {rules}", rules=rules))
        case "builtin":
            options.append(sql.compose("LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}", locale=locale))
        case _:
            pass
    return sql.compose(
        "CREATE DATABASE {name} TEMPLATE template0 {options}",
        name=sql.identifier(name),
        options=sql.joined(" ", options),
    )


def rights(shape: DatabaseShape, name: str) -> Iterator[Statement]:
    """The limit, grants, settings and comment of the database itself, for a session that is connected to it.

    The limit is no part of `creation`: a database is filled over several connections.
    """
    target = sql.identifier(name)
    if shape.connection_limit != -1:
        yield sql.compose(
            "ALTER DATABASE {name} CONNECTION LIMIT {limit}",
            name=target,
            limit=sql.literal(shape.connection_limit),
        )
    if shape.comment:
        comment = sql.literal(shape.comment)
        yield sql.compose("COMMENT ON DATABASE {name} IS {text}", name=target, text=comment)
    if not shape.default_acl:
        yield sql.compose("REVOKE ALL ON DATABASE {name} FROM PUBLIC", name=target)
    for grant in shape.grants:
        grantee = sql.identifier(grant.grantee) if grant.grantee else sql.keyword("PUBLIC")
        option = sql.keyword("WITH GRANT OPTION") if grant.grantable else sql.fragment("")
        yield sql.compose(
            "GRANT {privilege} ON DATABASE {name} TO {grantee} {option}",
            privilege=sql.keyword(grant.privilege),
            name=target,
            grantee=grantee,
            option=option,
        )
    for setting in shape.settings:
        yield from _setting(setting, name)


def _setting(setting: Setting, name: str) -> Iterator[Statement]:
    where: Part = sql.compose("DATABASE {name}", name=sql.identifier(name))
    if setting.role:
        role = sql.identifier(setting.role)
        where = sql.compose("ROLE {role} IN {where}", role=role, where=where)
    value: Part = sql.compose("TO {value}", value=sql.literal(setting.value))
    if setting.name in _LISTS:
        yield sql.compose(
            "SELECT set_config({setting}, {value}, false)",
            setting=sql.literal(setting.name),
            value=sql.literal(setting.value),
        )
        value = sql.fragment("FROM CURRENT")
    yield sql.compose(
        "ALTER {where} SET {setting} {value}",
        where=where,
        setting=sql.identifier(*setting.name.split(".")),
        value=value,
    )


def comparisons(evidence: DatabaseEvidence) -> Iterator[str]:
    """SQL text for psql that prints a sentence for whatever is not as the evidence says, and else nothing."""
    for name, value in sessions.CANONICAL.items():
        setting, said = sql.identifier(name), sql.literal(value)
        yield sql.text(sql.compose("SET {name} TO {value}", name=setting, value=said))
    if evidence.tables:
        yield _tables(evidence.tables)
    if evidence.sequences:
        yield sql.text(_sequences(evidence.sequences))
    if evidence.large_objects is not None:
        yield from _large_objects(evidence.large_objects)


def _tables(tables: Sequence[TableEvidence]) -> str:
    """One query makes a query for each table, of the columns that it has there; psql runs them (gexec)."""
    rows = [
        _row({"text": t.schema}, {"text": t.table}, {"bigint": t.rows}, {"text": t.hash}, {"text": t.label})
        for t in tables
    ]
    kinds = [
        sql.compose("WHEN {kind} THEN {hash}", kind=sql.literal(kind), hash=_pattern(rowhash.WHOLE[kind]))
        for kind in rowhash.WHOLE
    ]
    query = sql.compose(
        _TABLES,
        rows=sql.joined(", ", rows),
        kinds=sql.joined(" ", kinds),
        otherwise=_pattern(rowhash.BY_TEXT),
        null=sql.literal(rowhash.NULL),
        sentence=sql.literal(_SENTENCE),
    )
    return sql.text(query).removesuffix(";") + " \\gexec"


def _pattern(expression: str) -> Part:
    """A column's hash as a pattern for SQL's format: 1 is the column, 2 its position, 3 the hash of NULL."""
    return sql.literal(f"coalesce({expression.format(c='r.%1$I', n='%2$s')}, %3$s)")


def _row(*values: Mapping[LiteralString, object]) -> Statement:
    """A row of VALUES: each value with its type, which NULL would not tell."""
    typed = [
        sql.joined("::", [sql.literal(value), sql.fragment(kind)])
        for each in values
        for kind, value in each.items()
    ]
    return sql.compose("({row})", row=sql.joined(", ", typed))


# What is compared is named by the evidence; the columns are those of the restored table, as in a drill.
_TABLES = """
WITH expected (nspname, relname, rows, hash, label) AS (VALUES {rows}),
columns AS (
  SELECT e.label, a.attname, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname
           WHEN t.typbasetype = 'xml'::regtype THEN 'xml' END AS kind,
         row_number() OVER (PARTITION BY e.label ORDER BY a.attnum) AS number
  FROM expected e
  JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', e.nspname, e.relname))
  JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'),
hashes AS (
  SELECT label, string_agg(format(CASE kind {kinds} ELSE {otherwise} END, attname, number, number * {null}),
                           ' # ' ORDER BY number) AS mixed
  FROM columns GROUP BY label)
SELECT format({sentence}, e.nspname, e.relname, e.rows, e.label, e.hash,
  CASE WHEN e.hash IS NULL THEN 'NULL::text'
       ELSE format('coalesce(sum(hashint4extended(1, %s)), 0)::text', coalesce(h.mixed, '0')) END)
FROM expected e LEFT JOIN hashes h USING (label) ORDER BY e.label"""

_SENTENCE = """SELECT CASE WHEN rows <> %3$s
THEN format('table %%s has %%s rows instead of %%s', %4$L, rows, %3$s)
ELSE format('table %%s has its %%s rows, but other content', %4$L, rows) END
FROM (SELECT count(*), %6$s FROM ONLY %1$I.%2$I AS r) AS t (rows, hash) WHERE rows <> %3$s OR hash <> %5$L"""


def _sequences(sequences: Sequence[SequenceEvidence]) -> Statement:
    """Sequences that are missing, or that would give a number again that they have given before."""
    rows = [
        _row(
            {"text": s.schema},
            {"text": s.sequence},
            {"numeric": s.last_value},
            {"numeric": s.increment},
            {"boolean": s.cycle},
        )
        for s in sequences
    ]
    return sql.compose(
        """
WITH expected (nspname, relname, last, step, cycles) AS (
  VALUES {rows})
SELECT format('sequence %s.%s is missing, or short of %s', e.nspname, e.relname, e.last)
FROM expected e LEFT JOIN pg_sequences s ON s.schemaname = e.nspname AND s.sequencename = e.relname
WHERE s.sequencename IS NULL OR (e.last IS NOT NULL AND NOT e.cycles
  AND coalesce((s.last_value - e.last) * e.step < 0, true))""",
        rows=sql.joined(", ", rows),
    )


def _large_objects(found: LargeObjects) -> Iterator[str]:
    objects = sql.literal(found.objects)
    yield sql.text(
        sql.compose(
            "SELECT format('%s large objects instead of %s', count(*), {objects}::int)"
            " FROM pg_largeobject_metadata HAVING count(*) <> {objects}",
            objects=objects,
        )
    )
    if found.hash is not None:
        # Superusers alone may read them, and whoever restores may be none.
        yield "SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT') AS readable \\gset"
        yield "\\if :readable"
        yield sql.text(
            sql.compose(
                "SELECT 'the large objects have other content' WHERE ({query}) <> {hash}",
                query=sql.fragment(LARGE_OBJECTS),
                hash=sql.literal(found.hash),
            )
        )
        yield "\\endif"
