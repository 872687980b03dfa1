"""Roles out of a backup: which statements of the dump are taken, and what is made of them.

Whoever can write to the repository can write the dump of the roles too. So only statements of known shapes
are run, only roles that are missing are made, and none of them gets powers over the server.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from drkit.tools.postgres import sql
from drkit.tools.postgres.sessions import Session

_NAME = r'("(?:[^"]|"")+"|[\w$]+)'
_TEXT = r"(?:'(?:[^']|'')*'|\s?E'(?:[^'\\]|''|\\.)*')"
_FLAG = r" (?:NO)?(?:SUPERUSER|INHERIT|CREATEROLE|CREATEDB|LOGIN|REPLICATION|BYPASSRLS)"
_VALUE = rf"(?:{_TEXT}|[\w.+-]+)"
_FLAGS = re.compile(
    rf"ALTER ROLE {_NAME} WITH((?:{_FLAG})+)((?: CONNECTION LIMIT -?\d+)?(?: PASSWORD {_TEXT})?"
    rf"(?: VALID UNTIL {_TEXT})?);?",
    re.DOTALL,
)
_MEMBER = re.compile(
    rf"GRANT {_NAME} TO {_NAME}((?: WITH [A-Z]+ [A-Z]+(?:, [A-Z]+ [A-Z]+)*)?)(?: GRANTED BY {_NAME})?;?"
)
_OTHERS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"CREATE ROLE {_NAME};?",
        rf"COMMENT ON ROLE {_NAME} IS {_TEXT};?",
        rf"ALTER ROLE {_NAME} SET [\w.\"]+ TO {_VALUE}(?:, {_VALUE})*;?",
    )
)
# With these a role can do whatever it likes on the server, and so on its machine (CREATEROLE: until 15).
_POWERS = ("SUPERUSER", "CREATEROLE")
_MIGHTY = frozenset(("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"))


@dataclass(frozen=True)
class RoleStatement:
    """One statement of a roles dump, and the role that it makes or changes.

    `powers` says what it would give over the whole server, `logs_in` and `password` what it says of that, and
    `granted` is the role that it makes this one a member of.
    """

    role: str
    sql: str
    powers: tuple[str, ...] = ()
    logs_in: bool = False
    password: bool = False
    granted: str = ""


@dataclass(frozen=True)
class RolesMade:
    """Roles that are made: which of them log in without a password, and what powers were left out."""

    made: tuple[str, ...] = ()
    without_password: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def parse(text: str) -> tuple[RoleStatement, ...]:
    """The statements of `pg_dumpall --roles-only` that make roles and memberships, in order.

    Whatever pg_dumpall does not write for a role is left out. So is who granted a membership, who may not
    have the right to on another server, and what a role has set for one database, which comes back with that.
    """
    return tuple(found for statement in _statements(text) if (found := _read(statement)))


def _statements(text: str) -> Iterator[str]:
    import sqlparse

    for raw in sqlparse.split(text):
        lines = raw.splitlines()
        # psql's own commands (\restrict) and comments stand on lines of their own.
        while lines and (not lines[0].strip() or lines[0].startswith(("--", "\\"))):
            lines.pop(0)
        if lines:
            yield "\n".join(lines)


def _read(statement: str) -> RoleStatement | None:
    if flags := _FLAGS.fullmatch(statement):
        words = flags[2].split()
        powers = tuple(power for power in _POWERS if power in words)
        return RoleStatement(
            _unquoted(flags[1]), statement, powers, "LOGIN" in words, " PASSWORD " in flags[3]
        )
    if member := _MEMBER.fullmatch(statement):
        sql = f"GRANT {member[1]} TO {member[2]}{member[3]}"
        return RoleStatement(_unquoted(member[2]), sql, granted=_unquoted(member[1]))
    other = next((found for shape in _OTHERS if (found := shape.fullmatch(statement))), None)
    return RoleStatement(_unquoted(other[1]), statement) if other else None


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def plan(
    statements: Sequence[RoleStatement],
    have: Collection[str],
    superusers: Collection[str],
    *,
    powers: bool = False,
) -> tuple[tuple[RoleStatement, ...], RolesMade]:
    """What is to be run where the server has these roles, and what comes of it.

    A role that exists keeps its password and attributes: it may be the one that we are logged in as. One that
    is made gets power over the server only where `powers` says so.
    """
    missing = {statement.role for statement in statements} - set(have)
    wanted, left_out = [], []
    for statement in statements:
        if statement.role not in missing:
            continue
        if not powers and _mighty(statement, superusers):
            left_out.append(f"{statement.role}: {statement.granted}")
        elif not powers and statement.powers:
            left_out.append(f"{statement.role}: {', '.join(statement.powers)}")
            wanted.append(_without_powers(statement))
        else:
            wanted.append(statement)
    open_ones = {s.role for s in wanted if s.logs_in} - {s.role for s in wanted if s.password}
    made = RolesMade(tuple(sorted(missing)), tuple(sorted(open_ones)), tuple(left_out))
    return tuple(wanted), made


def _mighty(statement: RoleStatement, superusers: Collection[str]) -> bool:
    return statement.granted in _MIGHTY or statement.granted in superusers


def _without_powers(statement: RoleStatement) -> RoleStatement:
    flags = _FLAGS.fullmatch(statement.sql)
    assert flags
    kept = "".join(f" NO{word}" if word in _POWERS else f" {word}" for word in flags[2].split())
    start, end = flags.span(2)
    return replace(statement, sql=statement.sql[:start] + kept + statement.sql[end:], powers=())


def look(session: Session, text: str, *, powers: bool = False) -> tuple[tuple[RoleStatement, ...], RolesMade]:
    """What `make` would run on this server, and what would come of it."""
    found = session.rows("SELECT rolname::text, rolsuper FROM pg_roles")
    return plan(
        parse(text), {name for name, _ in found}, {name for name, mighty in found if mighty}, powers=powers
    )


def make(session: Session, text: str, *, powers: bool = False) -> RolesMade:
    """Make the roles that are missing."""
    wanted, made = look(session, text, powers=powers)
    with session.transaction():
        for statement in wanted:
            session.execute(sql.trusted(statement.sql))
    return made
