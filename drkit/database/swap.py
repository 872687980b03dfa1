"""Putting a restored database in the place of another by renaming; the old one is set aside."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from drkit.errors import DatabaseUnreachable, ToolFailed
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target

# Everything that somebody may have put into a database: relations, functions and schemas of their own.
OBJECTS = """
SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
          AND n.nspname NOT LIKE 'pg\\_temp%')
     + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema'))
     + (SELECT count(*) FROM pg_namespace
        WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'public'))
     + (SELECT count(*) FROM pg_largeobject_metadata)
     + (SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
        WHERE d.datname = current_database())"""
_SUBSCRIPTIONS = """
SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
WHERE d.datname = current_database()"""
# PostgreSQL cuts longer names (NAMEDATALEN in its pg_config_manual.h).
NAME_BYTES = 63


def maintenance(target: Target) -> Target:
    """The same server through a database that is always there, to make and rename others from.

    It is another than the target's own, for who is in a database cannot rename it.
    """
    for name in ("postgres", "template1"):
        if name == target.database:
            continue
        candidate = target.with_database(name)
        try:
            with sessions.connect(candidate):
                return candidate
        except DatabaseUnreachable as error:
            last = error
    raise last


def exists(session: Session, name: str) -> bool:
    """Whether the server has a database of that name."""
    return bool(session.rows("SELECT 1 FROM pg_database WHERE datname = %s", (name,)))


def objects(target: Target) -> int:
    """How many objects somebody put into a database; 0 for one that is empty."""
    with sessions.connect(target) as session:
        return int(session.value(OBJECTS))


def admits(session: Session, name: str) -> bool:
    """Whether a database that is there lets anybody in."""
    return bool(session.value("SELECT datallowconn FROM pg_database WHERE datname = %s", (name,)))


def beside(name: str) -> str:
    """What a database is called until it takes that name."""
    return _named(name, "_drkit_restoring")


def drop(server: Target, name: str) -> None:
    """Drop a database of drkit's own, if it is there, with whatever a killed run has left at work in it."""
    with sessions.connect(server) as session:
        if exists(session, name):
            _end_sessions(session, name)
            _drop_subscriptions(server.with_database(name))
            session.execute(sql.compose("DROP DATABASE {name}", name=sql.identifier(name)))


def _drop_subscriptions(restored: Target) -> None:
    """No database goes that has one. The slot at the publisher is production's, and stays."""
    with sessions.connect(restored) as session:
        for (name,) in session.rows(_SUBSCRIPTIONS):
            for statement in (
                "ALTER SUBSCRIPTION {name} DISABLE",
                "ALTER SUBSCRIPTION {name} SET (slot_name = NONE)",
                "DROP SUBSCRIPTION {name}",
            ):
                session.execute(sql.compose(statement, name=sql.identifier(name)))


def swap(server: Target, restored: str, name: str, point: str) -> str | None:
    """Rename `restored` to `name`; a database of that name is set aside, and its new name returned.

    An empty one is dropped. Raises ToolFailed if somebody keeps connecting to the old one.
    """
    with sessions.connect(server) as session:
        if not exists(session, name):
            _rename(session, restored, name)
            return None
        aside = _free_name(session, name, point)
        empty = admits(session, name) and objects(server.with_database(name)) == 0
        clear_out(session, name)
        try:
            # Both names or none: whoever dies here leaves the old database in its place, or the new one.
            with session.transaction():
                _rename(session, name, aside)
                _allow(session, aside, True)
                _rename(session, restored, name)
        except ToolFailed as error:
            _allow(session, name, True)
            raise ToolFailed(
                f"cannot set the database {name} aside: {error.message}", hint="stop the registry first"
            ) from None
        if not empty:
            return aside
        session.execute(sql.compose("DROP DATABASE {name}", name=sql.identifier(aside)))
        return None


def clear_out(session: Session, name: str) -> None:
    """Let nobody in any more, and end the sessions that are there: a database in use cannot be renamed."""
    _allow(session, name, False)
    _end_sessions(session, name)


_SESSIONS = """
SELECT format('%s%s (user %s%s)', coalesce(nullif(application_name, ''), 'a client'),
              coalesce(' at ' || host(client_addr), ''), coalesce(usename, '?'),
              CASE count(*) WHEN 1 THEN '' ELSE format(', %s sessions', count(*)) END),
       bool_and((SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR coalesce(
         (SELECT NOT rolsuper AND (pg_has_role(current_user, oid, 'USAGE')
            OR pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))
          FROM pg_roles WHERE rolname = usename), true))
FROM pg_stat_activity WHERE datname = {name} AND pid <> pg_backend_pid()
GROUP BY application_name, client_addr, usename ORDER BY 1"""


@dataclass(frozen=True)
class Connected:
    """Who is connected to a database, in a few words, and whether this session's user may end that."""

    said: str
    endable: bool


def connected(session: Session, name: str) -> tuple[Connected, ...]:
    """Who is connected to a database of that server."""
    query = sql.compose(_SESSIONS, name=sql.literal(name))
    return tuple(Connected(*row) for row in session.rows(query))


def _end_sessions(session: Session, name: str) -> None:
    session.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid()",
        (name,),
    )


def _allow(session: Session, name: str, wanted: bool) -> None:
    session.execute(
        sql.compose(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS {wanted}",
            name=sql.identifier(name),
            wanted=sql.literal(wanted),
        )
    )


def _rename(session: Session, old: str, new: str) -> None:
    session.execute(
        sql.compose("ALTER DATABASE {old} RENAME TO {new}", old=sql.identifier(old), new=sql.identifier(new))
    )


def away_name(name: str, point: str) -> str:
    """What a restored database is called once the one before it has been put back."""
    return _named(name, "_restored_" + point.replace("-", "_"))


def taken_names(session: Session, name: str, point: str) -> tuple[str, ...]:
    """What restores of this point have set aside for that name so far, the first one first."""
    return tuple(itertools.takewhile(lambda found: exists(session, found), _names(name, point)))


def _names(name: str, point: str) -> Iterator[str]:
    """Names for the old database that are not too long; as with files, the second is number 2."""
    tail = "_before_" + point.replace("-", "_")
    return (_named(name, tail if number == 1 else f"{tail}_{number}") for number in range(1, 100))


def _free_name(session: Session, name: str, point: str) -> str:
    """A name for the old database that is not taken."""
    for found in _names(name, point):
        if not exists(session, found):
            return found
    raise ToolFailed(
        f"there is no free name to set {name} aside under", hint="drop old ones named ..._before_..."
    )


def _named(name: str, ending: str) -> str:
    """`name` with an ending. PostgreSQL would cut what is too long, and another's name might come out."""
    if len(f"{name}{ending}".encode()) <= NAME_BYTES:
        return name + ending
    ending = f"_{hashlib.sha256(name.encode()).hexdigest()[:8]}{ending}"
    return name.encode()[: NAME_BYTES - len(ending)].decode(errors="ignore") + ending
