"""A database's shape as SQL: the statements that make it as it was, and the ones that count what is in it.

The restore runs them; the recovery script of each point carries them as text for psql.
"""

from __future__ import annotations

from collections.abc import Iterator

from drkit.model import DatabaseEvidence, DatabaseShape, Setting, TableEvidence
from drkit.tools import postgres
from drkit.tools.postgres import Part, Statement

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
        postgres.compose("OWNER {value}", value=postgres.identifier(shape.owner)),
        postgres.compose("ENCODING {value}", value=postgres.literal(shape.encoding)),
        postgres.compose("LC_COLLATE {value}", value=postgres.literal(shape.collate)),
        postgres.compose("LC_CTYPE {value}", value=postgres.literal(shape.ctype)),
        postgres.compose("CONNECTION LIMIT {value}", value=postgres.literal(shape.connection_limit)),
    ]
    locale = postgres.literal(shape.locale)
    match shape.locale_provider:
        case "icu":
            options.append(postgres.compose("LOCALE_PROVIDER icu ICU_LOCALE {locale}", locale=locale))
        case "builtin":
            options.append(postgres.compose("LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}", locale=locale))
        case _:
            pass
    return postgres.compose(
        "CREATE DATABASE {name} TEMPLATE template0 {options}",
        name=postgres.identifier(name),
        options=postgres.joined(" ", options),
    )


def rights(shape: DatabaseShape, name: str) -> Iterator[Statement]:
    """The grants, settings and comment of the database itself, for a session that is connected to it."""
    target = postgres.identifier(name)
    if shape.comment:
        comment = postgres.literal(shape.comment)
        yield postgres.compose("COMMENT ON DATABASE {name} IS {text}", name=target, text=comment)
    if not shape.default_acl:
        yield postgres.compose("REVOKE ALL ON DATABASE {name} FROM PUBLIC", name=target)
    for grant in shape.grants:
        grantee = postgres.identifier(grant.grantee) if grant.grantee else postgres.keyword("PUBLIC")
        option = postgres.keyword("WITH GRANT OPTION") if grant.grantable else postgres.fragment("")
        yield postgres.compose(
            "GRANT {privilege} ON DATABASE {name} TO {grantee} {option}",
            privilege=postgres.keyword(grant.privilege),
            name=target,
            grantee=grantee,
            option=option,
        )
    for setting in shape.settings:
        yield from _setting(setting, name)


def _setting(setting: Setting, name: str) -> Iterator[Statement]:
    where: Part = postgres.compose("DATABASE {name}", name=postgres.identifier(name))
    if setting.role:
        role = postgres.identifier(setting.role)
        where = postgres.compose("ROLE {role} IN {where}", role=role, where=where)
    value: Part = postgres.compose("TO {value}", value=postgres.literal(setting.value))
    if setting.name in _LISTS:
        yield postgres.compose(
            "SELECT set_config({setting}, {value}, false)",
            setting=postgres.literal(setting.name),
            value=postgres.literal(setting.value),
        )
        value = postgres.fragment("FROM CURRENT")
    yield postgres.compose(
        "ALTER {where} SET {setting} {value}",
        where=where,
        setting=postgres.identifier(*setting.name.split(".")),
        value=value,
    )


def table_hash(schema: str, table: str) -> Statement:
    """The two columns that are the evidence of a table: its row count, and an order-free hash.

    A sum, not an XOR: two equal rows do not cancel out. The text is canonical by the session's settings and
    the hash's result is fixed by PostgreSQL's hash partitioning, so that both are the same on 12 to 18.
    """
    return postgres.compose(
        'count(*), coalesce(sum(hashtextextended((r.*)::text COLLATE "C", 0)), 0)::text'
        " FROM ONLY {table} AS r",
        table=postgres.identifier(schema, table),
    )


def comparisons(evidence: DatabaseEvidence) -> Iterator[str]:
    """SQL text for psql that prints a sentence for each table that is not as it was, and else nothing."""
    for name, value in postgres.CANONICAL.items():
        yield postgres.text(
            postgres.compose(
                "SET {name} TO {value}", name=postgres.identifier(name), value=postgres.literal(value)
            )
        )
    for table in evidence.tables:
        yield postgres.text(_comparison(table))


def _comparison(table: TableEvidence) -> Statement:
    return postgres.compose(
        "SELECT CASE WHEN found <> {rows} THEN format('table %s has %s rows instead of %s', {name}, found,"
        " {rows}) ELSE format('table %s has its %s rows, but other content', {name}, found) END"
        " FROM (SELECT {evidence}) AS t (found, hash) WHERE found <> {rows} OR hash <> {hash}",
        rows=postgres.literal(table.rows),
        name=postgres.literal(f"{table.schema}.{table.table}"),
        hash=postgres.literal(table.hash),
        evidence=table_hash(table.schema, table.table),
    )
