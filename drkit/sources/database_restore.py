"""Bringing a database back: roles that are missing, the database as it was, its content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlparse

from drkit.errors import ToolFailed
from drkit.model import DatabaseEvidence, DatabaseShape, Setting
from drkit.sources.clients import Loader
from drkit.tools import postgres
from drkit.tools.postgres import Session, Target

_NAME = r'("(?:[^"]|"")+"|[\w$]+)'
_ROLE = re.compile(rf"(CREATE|ALTER|COMMENT ON) ROLE {_NAME}", re.IGNORECASE)
_MEMBER = re.compile(rf"GRANT {_NAME} TO {_NAME}", re.IGNORECASE)
_GRANTED_BY = re.compile(rf"\s+GRANTED BY {_NAME}(?=;?$)", re.IGNORECASE)

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


@dataclass(frozen=True)
class RoleStatement:
    """One statement of a roles dump, and the role that it makes or changes."""

    role: str
    sql: str


def parse_roles(text: str) -> tuple[RoleStatement, ...]:
    """The statements of `pg_dumpall --roles-only` that make roles and memberships, in order.

    Who granted a membership is left out: that role may not have the right to on another server.
    """
    return tuple(_role_statements(text))


def _role_statements(text: str) -> Iterator[RoleStatement]:
    for raw in sqlparse.split(text):
        lines = raw.splitlines()
        # psql's own commands (\restrict) and comments stand on lines of their own.
        while lines and (not lines[0].strip() or lines[0].startswith(("--", "\\"))):
            lines.pop(0)
        statement = "\n".join(lines)
        made = _ROLE.match(statement)
        member = _MEMBER.match(statement)
        if made and " IN DATABASE " not in statement:
            yield RoleStatement(_unquoted(made[2]), statement)
        elif member:
            yield RoleStatement(_unquoted(member[2]), _GRANTED_BY.sub("", statement))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def make_roles(session: Session, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Make the roles that are missing; returns (made, left as they are).

    A role that exists keeps its password and attributes: it may be the one that we are logged in as.
    """
    statements = parse_roles(text)
    have = {name for (name,) in session.rows("SELECT rolname FROM pg_roles")}
    missing = {statement.role for statement in statements} - have
    for statement in statements:
        if statement.role in missing:
            session.execute(postgres.trusted(statement.sql))
    return tuple(sorted(missing)), tuple(sorted({s.role for s in statements} - missing))


def create_database(session: Session, shape: DatabaseShape, name: str) -> None:
    """An empty database of that name with the shape's owner, encoding and collation."""
    options = [
        postgres.compose("OWNER {value}", value=postgres.identifier(shape.owner)),
        postgres.compose("ENCODING {value}", value=postgres.literal(shape.encoding)),
        postgres.compose("LC_COLLATE {value}", value=postgres.literal(shape.collate)),
        postgres.compose("LC_CTYPE {value}", value=postgres.literal(shape.ctype)),
        postgres.compose("CONNECTION LIMIT {value}", value=postgres.literal(shape.connection_limit)),
    ]
    match shape.locale_provider:
        case "icu":
            options.append(
                postgres.compose("LOCALE_PROVIDER icu ICU_LOCALE {l}", l=postgres.literal(shape.locale))
            )
        case "builtin":
            option = postgres.compose(
                "LOCALE_PROVIDER builtin BUILTIN_LOCALE {l}", l=postgres.literal(shape.locale)
            )
            options.append(option)
        case _:
            pass
    try:
        session.execute(
            postgres.compose(
                "CREATE DATABASE {name} TEMPLATE template0 {options}",
                name=postgres.identifier(name),
                options=postgres.joined(" ", options),
            )
        )
    except ToolFailed as error:
        raise ToolFailed(
            f"cannot make the database {name}: {error.message}",
            hint=f"the server must know the locale {shape.collate} and have the role {shape.owner}",
        ) from None


def apply_rights(session: Session, shape: DatabaseShape, name: str) -> None:
    """The grants, settings and comment of the database itself, on a session that is connected to it."""
    target = postgres.identifier(name)
    if shape.comment:
        comment = postgres.literal(shape.comment)
        session.execute(postgres.compose("COMMENT ON DATABASE {name} IS {text}", name=target, text=comment))
    if not shape.default_acl:
        session.execute(postgres.compose("REVOKE ALL ON DATABASE {name} FROM PUBLIC", name=target))
    for grant in shape.grants:
        grantee = postgres.identifier(grant.grantee) if grant.grantee else postgres.keyword("PUBLIC")
        option = postgres.keyword("WITH GRANT OPTION") if grant.grantable else postgres.fragment("")
        session.execute(
            postgres.compose(
                "GRANT {privilege} ON DATABASE {name} TO {grantee} {option}",
                privilege=postgres.keyword(grant.privilege),
                name=target,
                grantee=grantee,
                option=option,
            )
        )
    for setting in shape.settings:
        _apply_setting(session, setting, name)


def _apply_setting(session: Session, setting: Setting, name: str) -> None:
    where = postgres.compose("DATABASE {name}", name=postgres.identifier(name))
    if setting.role:
        role = postgres.identifier(setting.role)
        where = postgres.compose("ROLE {role} IN {where}", role=role, where=where)
    value: postgres.Part = postgres.compose("TO {value}", value=postgres.literal(setting.value))
    if setting.name in _LISTS:
        session.execute("SELECT set_config(%s, %s, false)", (setting.name, setting.value))
        value = postgres.fragment("FROM CURRENT")
    session.execute(
        postgres.compose(
            "ALTER {where} SET {setting} {value}",
            where=where,
            setting=postgres.identifier(*setting.name.split(".")),
            value=value,
        )
    )


def missing_tablespaces(session: Session, evidence: DatabaseEvidence) -> tuple[str, ...]:
    """The tablespaces that the database had tables in, and that this server lacks."""
    have = {name for (name,) in session.rows("SELECT spcname FROM pg_tablespace")}
    return tuple(name for name in evidence.tablespaces if name not in have)


def bring_back(
    server: Target,
    name: str,
    evidence: DatabaseEvidence,
    archive: Path,
    roles_text: str,
    load: Loader,
) -> tuple[str, ...]:
    """Roles, an empty database called `name`, its content, its rights. Returns the roles that were made.

    Where the server lacks a tablespace, everything goes into the database's own: better there than nowhere.
    """
    with postgres.connect(server) as session:
        made, _ = make_roles(session, roles_text)
        create_database(session, evidence.shape, name)
        known = not missing_tablespaces(session, evidence)
    target = server.with_database(name)
    load(target, archive, tablespaces=known)
    with postgres.connect(target) as session:
        apply_rights(session, evidence.shape, name)
    return made
