"""Bringing a database back: roles that are missing, the database as it was, its content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlparse

from drkit.errors import ToolFailed
from drkit.model import DatabaseEvidence, DatabaseShape
from drkit.sources import statements
from drkit.sources.clients import Loader
from drkit.tools import postgres
from drkit.tools.postgres import Session, Target

_NAME = r'("(?:[^"]|"")+"|[\w$]+)'
_ROLE = re.compile(rf"(CREATE|ALTER|COMMENT ON) ROLE {_NAME}", re.IGNORECASE)
_MEMBER = re.compile(rf"GRANT {_NAME} TO {_NAME}", re.IGNORECASE)
_GRANTED_BY = re.compile(rf"\s+GRANTED BY {_NAME}(?=;?$)", re.IGNORECASE)


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
    wanted = parse_roles(text)
    have = {name for (name,) in session.rows("SELECT rolname FROM pg_roles")}
    missing = {statement.role for statement in wanted} - have
    for statement in wanted:
        if statement.role in missing:
            session.execute(postgres.trusted(statement.sql))
    return tuple(sorted(missing)), tuple(sorted({s.role for s in wanted} - missing))


def create_database(session: Session, shape: DatabaseShape, name: str) -> None:
    """An empty database of that name with the shape's owner, encoding and collation."""
    try:
        session.execute(statements.creation(shape, name))
    except ToolFailed as error:
        raise ToolFailed(
            f"cannot make the database {name}: {error.message}",
            hint=f"the server must know the locale {shape.collate} and have the role {shape.owner}",
        ) from None


def apply_rights(session: Session, shape: DatabaseShape, name: str) -> None:
    """The grants, settings and comment of the database itself, on a session that is connected to it."""
    for statement in statements.rights(shape, name):
        session.execute(statement)


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
