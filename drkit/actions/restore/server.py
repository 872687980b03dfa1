"""What a restore of a database finds at the server that it goes to, and whether it can work there.

Nothing is changed: what can be tried is tried in a transaction that is undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from drkit.database import load, restore_needs, roles, statements, swap
from drkit.database.restore_needs import Lacking
from drkit.database.roles import RolesMade
from drkit.database.swap import Connected
from drkit.errors import TargetUnfit
from drkit.model import DatabaseEvidence
from drkit.reports.units import size
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target

# For our own sessions, and two workers of pg_restore.
_CONNECTIONS = 4


@dataclass(frozen=True)
class Server:
    """A server as a restore finds it.

    `present` says what is in the way, `in_place` that an empty database is filled as it is, `connected` who
    would be cut off. `remarks` are told in the plan, `lacking` is what the restore would fail for.
    """

    major: int
    present: str
    in_place: bool
    connected: tuple[Connected, ...]
    remarks: tuple[str, ...]
    lacking: tuple[Lacking, ...]


def look(target: Target, evidence: DatabaseEvidence, roles_text: str) -> Server:
    """Ask the server everything; raises DatabaseUnreachable, ToolFailed."""
    name = target.database
    with sessions.connect(swap.maintenance(target)) as session:
        there = swap.exists(session, name)
        admits = there and swap.admits(session, name)
        # Asked first: we are about to look into it ourselves.
        connected = swap.connected(session, name)
        objects = swap.objects(target) if admits else 0
        present = f"{objects} tables and other objects" if objects else ""
        if there and not admits:
            # Perhaps a restore was killed just when it put another in its place.
            present = "a database that accepts no connections"
        in_place = there and not present and not _may_replace(session, name)
        connected = connected if present else ()
        lacking = [*restore_needs.lacking(session, evidence, creates=not in_place)]
        lacking += _of_connections(session, connected)
        lacking += [] if in_place else _of_place(session, evidence, name, present)
        remarks = [*_of_roles(session, roles_text, in_place=in_place), *_of_tablespaces(session, evidence)]
        remarks += _of_loading(session, evidence)
        major = session.server_version // 10_000
    if in_place:
        found, more = _in_place(target, evidence)
        remarks, lacking = [*more, *remarks], [*lacking, *found]
    return Server(major, present, in_place, connected, tuple(remarks), tuple(lacking))


def refuse(server: Server, target: Target, evidence: DatabaseEvidence) -> None:
    """Raise TargetUnfit where the restore would fail, with what makes it work."""
    if not server.lacking:
        return
    said = "; ".join(lack.said for lack in server.lacking)
    remedies = "; ".join(dict.fromkeys(lack.remedy for lack in server.lacking))
    hint = f"{remedies}; or name a superuser's login with --database-dsn"
    if not server.in_place and not server.present:
        made = sql.text(statements.creation(evidence.shape, target.database))
        hint += f"; or have somebody make an empty database, which is then filled: {made}"
    raise TargetUnfit(f"{target.where} cannot take the restore: {said}", hint=hint)


def _may_replace(session: Session, name: str) -> bool:
    """Whether this user can make a database and put it in the place of that one."""
    return bool(
        session.value(
            "SELECT rolsuper OR (rolcreatedb AND pg_has_role(current_user, datdba, 'USAGE'))"
            " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = %s",
            (name,),
        )
    )


def _of_connections(session: Session, connected: tuple[Connected, ...]) -> list[Lacking]:
    found = [
        Lacking(f"this user may not end the sessions of {one.said}", "stop what is connected")
        for one in connected
        if not one.endable
    ]
    free = sessions.free_connections(session)
    if free < _CONNECTIONS:
        said = f"the server has {max(free, 0)} free connections, and a restore needs {_CONNECTIONS}"
        found.append(Lacking(said, "raise max_connections, or close some"))
    return found


def _of_place(session: Session, evidence: DatabaseEvidence, name: str, present: str) -> list[Lacking]:
    """The locale of a database that is to be made, and the right to rename the one that is there."""
    found = []
    if fault := restore_needs.locale_fault(session, evidence.shape):
        locale = evidence.shape.locale or evidence.shape.collate
        said = f"the server cannot make a database with the locale {locale} ({fault})"
        found.append(Lacking(said, "install that locale on the server and restart it"))
    if present and not _may_replace(session, name):
        said = f"this user may not rename the database {name}, which belongs to another"
        found.append(Lacking(said, "use the login of its owner, who may create databases"))
    return found


def _of_roles(session: Session, text: str, *, in_place: bool) -> list[str]:
    _, made = roles.look(session, text)
    if not made.made:
        return []
    if in_place and not restore_needs.makes_roles(session):
        return [f"roles that are missing here, and are not made: {', '.join(made.made)}"]
    return list(role_remarks(made, "are made"))


def role_remarks(made: RolesMade, verb: str) -> tuple[str, ...]:
    """What roles come back with, and without."""
    said = []
    with_password = [role for role in made.made if role not in made.without_password]
    if with_password:
        said.append(
            f"roles that were missing {verb} as they were, with their passwords: {', '.join(with_password)}"
        )
    if made.without_password:
        said.append(
            f"roles that were missing {verb} WITHOUT a password, since the backup's user could not read it: "
            f"{', '.join(made.without_password)}"
        )
    if made.left_out:
        said.append(
            f"rights over the whole server are not restored: {'; '.join(made.left_out)} (use ALTER ROLE)"
        )
    return tuple(said)


def _of_tablespaces(session: Session, evidence: DatabaseEvidence) -> list[str]:
    lost = load.missing_tablespaces(session, evidence)
    said = f"the server has no tablespace {', '.join(lost)}: everything goes into the database's own"
    return [said] if lost else []


def _of_loading(session: Session, evidence: DatabaseEvidence) -> list[str]:
    """Whoever can write to the repository can have SQL run here, which may be a superuser's."""
    mighty, owner_there = session.row(
        "SELECT rolsuper, EXISTS (SELECT FROM pg_roles WHERE rolname = %s) FROM pg_roles"
        " WHERE rolname = current_user",
        (evidence.shape.owner,),
    )
    # Where the owner is missing, it is made, and is no superuser.
    plain = restore_needs.loader(session, evidence) if owner_there else not evidence.needs.superuser
    if not mighty or plain:
        return []
    return [
        "the dump's SQL runs with a superuser's rights, since its owner has them or its content needs them"
    ]


def _in_place(target: Target, evidence: DatabaseEvidence) -> tuple[list[Lacking], list[str]]:
    with sessions.connect(target) as session:
        encoding, collate, may = session.row(
            "SELECT pg_encoding_to_char(encoding)::text, datcollate::text,"
            " has_database_privilege(current_database(), 'CREATE')"
            " AND has_schema_privilege('public', 'CREATE') FROM pg_database"
            " WHERE datname = current_database()"
        )
        owners = restore_needs.owns_all(session, evidence)
        user = session.value("SELECT current_user::text")
    shape, name = evidence.shape, target.database
    lacking, remarks = [], [f"the empty database {name} is filled as it is"]
    if not may:
        said = f"the user {user} may not create anything in {name}"
        lacking.append(Lacking(said, f'ALTER DATABASE "{name}" OWNER TO "{user}"'))
    if encoding != shape.encoding:
        said = f"the database {name} has the encoding {encoding} instead of {shape.encoding}"
        lacking.append(Lacking(said, f"create it again with ENCODING '{shape.encoding}' TEMPLATE template0"))
    if collate != shape.collate:
        remarks.append(f"{name} sorts by {collate}, and the backup's database by {shape.collate}")
    if not owners:
        remarks.append(
            f"everything in it will belong to {user}, and privileges of other roles do not come back"
        )
    return lacking, remarks


def room_for_dump(free: int, needed: int, where: str) -> None:
    """Raise TargetUnfit where the dump does not fit where it is put meanwhile."""
    if free < needed:
        raise TargetUnfit(
            f"the database dump needs {size(needed)} in {where} meanwhile, and {size(free)} are free",
            hint="make room there, or set state in [site] to a directory on a larger disk",
        )
