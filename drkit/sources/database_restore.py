"""Bringing a database back: roles that are missing, the database as it was, its content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlparse

from drkit import shape as shape_sql
from drkit.errors import ToolFailed
from drkit.model import DatabaseEvidence, DatabaseShape
from drkit.sources import database
from drkit.tools import postgres, process
from drkit.tools.postgres import Programs, Session, Target

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
    statements = parse_roles(text)
    have = {name for (name,) in session.rows("SELECT rolname FROM pg_roles")}
    missing = {statement.role for statement in statements} - have
    for statement in statements:
        if statement.role in missing:
            session.execute(postgres.trusted(statement.sql))
    return tuple(sorted(missing)), tuple(sorted({s.role for s in statements} - missing))


def create_database(session: Session, shape: DatabaseShape, name: str) -> None:
    """An empty database of that name with the shape's owner, encoding and collation."""
    try:
        session.execute(shape_sql.creation(shape, name))
    except ToolFailed as error:
        raise ToolFailed(
            f"cannot make the database {name}: {error.message}",
            hint=f"the server must know the locale {shape.collate} and have the role {shape.owner}",
        ) from None


def apply_rights(session: Session, shape: DatabaseShape, name: str) -> None:
    """The grants, settings and comment of the database itself, on a session that is connected to it."""
    for statement in shape_sql.rights(shape, name):
        session.execute(statement)


def load(programs: Programs, target: Target, archive: Path, jobs: int, login: Mapping[str, str]) -> None:
    """Fill an empty database from an archive, several tables side by side; raises ToolFailed."""
    process.check(postgres.restore(programs, target, archive, jobs, login))


def bring_back(
    server: Target,
    name: str,
    evidence: DatabaseEvidence,
    archive: Path,
    roles_text: str,
    *,
    programs: Programs,
    jobs: int,
    login: Mapping[str, str],
) -> tuple[str, ...]:
    """Roles, an empty database called `name`, its content, its rights. Returns the roles that were made."""
    with postgres.connect(server) as session:
        made, _ = make_roles(session, roles_text)
        create_database(session, evidence.shape, name)
    target = server.with_database(name)
    load(programs, target, archive, jobs, login)
    with postgres.connect(target) as session:
        apply_rights(session, evidence.shape, name)
    return made


def differences(target: Target, evidence: DatabaseEvidence) -> tuple[str, ...]:
    """What this database's tables have or lack against the evidence, a sentence a table; none is good."""
    with postgres.connect(target) as session:
        names = database.list_tables(session)
    expected = {(t.schema, t.table): t for t in evidence.tables}
    said = [f"table {s}.{t} is missing" for s, t in sorted(expected.keys() - set(names))]
    said += [f"table {s}.{t} was not in the backup" for s, t in sorted(set(names) - expected.keys())]
    common = [name for name in names if name in expected]
    for found in database.hash_all(common, lambda: postgres.connect(target)):
        want = expected[found.schema, found.table]
        label = f"{found.schema}.{found.table}"
        if found.rows != want.rows:
            said.append(f"{label} has {found.rows} rows instead of {want.rows}")
        elif found.hash != want.hash:
            said.append(f"{label} has the right number of rows ({want.rows}) but other content")
    return tuple(said)
