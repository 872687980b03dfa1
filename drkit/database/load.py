"""Bringing a database back: roles that are missing, the database as it was, its content."""

from __future__ import annotations

from pathlib import Path

from drkit.database import restore_needs, roles, statements
from drkit.database.clients import Loader
from drkit.database.roles import RolesMade
from drkit.errors import ToolFailed
from drkit.model import DatabaseEvidence, DatabaseShape
from drkit.tools.postgres import sessions
from drkit.tools.postgres.programs import LoadOptions
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target


def create_database(session: Session, shape: DatabaseShape, name: str) -> None:
    """An empty database of that name with the shape's owner, encoding and collation."""
    try:
        session.execute(statements.creation(shape, name))
    except ToolFailed as error:
        raise ToolFailed(
            f"cannot make the database {name}: {error.message}",
            hint=f"the server must know the locale {shape.locale or shape.collate}, have the role"
            f" {shape.owner} and let this user make databases for it",
        ) from None


def apply_rights(session: Session, shape: DatabaseShape, name: str) -> None:
    """The limit, grants, settings and comment of the database itself, on a session that is in it."""
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
    *,
    powers: bool = False,
) -> RolesMade:
    """Roles, an empty database called `name`, its content, its rights. Returns the roles that were made.

    Where the server lacks a tablespace, everything goes into the database's own: better there than nowhere.
    Whatever in the dump can be made by the database's owner is not made by a superuser. Roles get power over
    the server only where `powers` says so, as in a sandbox.
    """
    with sessions.connect(server) as session:
        made = roles.make(session, roles_text, powers=powers)
        create_database(session, evidence.shape, name)
        known = not missing_tablespaces(session, evidence)
        role = restore_needs.loader(session, evidence)
    target = server.with_database(name)
    load(target, archive, LoadOptions(tablespaces=known, role=role))
    with sessions.connect(target) as session:
        apply_rights(session, evidence.shape, name)
    return made


def fill(
    target: Target, evidence: DatabaseEvidence, archive: Path, roles_text: str, load: Loader
) -> RolesMade:
    """The content alone, in an empty database that somebody else has made: all of it, or nothing.

    Where this user cannot give everything to the roles that owned it, everything is its own, and privileges
    stay behind. (A superuser fills none: it makes a new one, and puts that in the empty one's place.)
    """
    with sessions.connect(target) as session:
        made = roles.make(session, roles_text) if restore_needs.makes_roles(session) else RolesMade()
        known = not missing_tablespaces(session, evidence)
        owners = restore_needs.owns_all(session, evidence)
    load(target, archive, LoadOptions(tablespaces=known, owners=owners, whole=True))
    if owners:
        with sessions.connect(target) as session:
            if restore_needs.owns_database(session):
                apply_rights(session, evidence.shape, target.database)
    return made
