"""Putting a restored database in the place of another by renaming; the old one is set aside."""

from __future__ import annotations

from drkit.errors import DatabaseUnreachable, ToolFailed
from drkit.tools import postgres
from drkit.tools.postgres import Session, Target

# Everything that somebody may have put into a database: relations, functions and schemas of their own.
_OBJECTS = """
SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
          AND n.nspname NOT LIKE 'pg\\_temp%')
     + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema'))
     + (SELECT count(*) FROM pg_namespace
        WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'public'))
     + (SELECT count(*) FROM pg_largeobject_metadata)"""
_NAME_BYTES = 63


def maintenance(target: Target) -> Target:
    """The same server through a database that is always there, to make and rename others from."""
    for name in ("postgres", "template1"):
        candidate = target.with_database(name)
        try:
            with postgres.connect(candidate):
                return candidate
        except DatabaseUnreachable as error:
            last = error
    raise last


def exists(session: Session, name: str) -> bool:
    """Whether the server has a database of that name."""
    return bool(session.rows("SELECT 1 FROM pg_database WHERE datname = %s", (name,)))


def objects(target: Target) -> int:
    """How many objects somebody put into a database; 0 for one that is empty."""
    with postgres.connect(target) as session:
        return int(session.value(_OBJECTS))


def drop_leftover(server: Target, name: str) -> None:
    """Drop the half-restored database of an earlier run; the name is drkit's own."""
    with postgres.connect(server) as session:
        session.execute(postgres.compose("DROP DATABASE IF EXISTS {name}", name=postgres.identifier(name)))


def swap(server: Target, restored: str, name: str, point: str) -> str | None:
    """Rename `restored` to `name`; a database of that name is set aside, and its new name returned.

    An empty one is dropped. Raises ToolFailed if somebody keeps connecting to the old one.
    """
    with postgres.connect(server) as session:
        aside = None
        if exists(session, name):
            empty = objects(server.with_database(name)) == 0
            aside = None if empty else _free_name(session, name, point)
            _clear_out(session, name)
            try:
                if aside is None:
                    session.execute(postgres.compose("DROP DATABASE {name}", name=postgres.identifier(name)))
                else:
                    _rename(session, name, aside)
            except ToolFailed as error:
                _allow(session, name, True)
                raise ToolFailed(
                    f"cannot set the database {name} aside: {error.message}", hint="stop the registry first"
                ) from None
            if aside is not None:
                _allow(session, aside, True)
        try:
            _rename(session, restored, name)
        except ToolFailed:
            if aside is not None:
                _rename(session, aside, name)
            raise
    return aside


def _clear_out(session: Session, name: str) -> None:
    """Let nobody in any more, and end the sessions that are there: a database in use cannot be renamed."""
    _allow(session, name, False)
    session.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid()",
        (name,),
    )


def _allow(session: Session, name: str, wanted: bool) -> None:
    session.execute(
        postgres.compose(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS {wanted}",
            name=postgres.identifier(name),
            wanted=postgres.literal(wanted),
        )
    )


def _rename(session: Session, old: str, new: str) -> None:
    session.execute(
        postgres.compose(
            "ALTER DATABASE {old} RENAME TO {new}", old=postgres.identifier(old), new=postgres.identifier(new)
        )
    )


def with_ending(name: str, ending: str) -> str:
    """A database's name made longer, as long as PostgreSQL lets it be: it cuts what is longer, unasked.

    Without that, a name of 63 bytes with anything behind it is that very name again.
    """
    room = _NAME_BYTES - len(ending.encode())
    return name.encode()[:room].decode("utf-8", "ignore") + ending


def _free_name(session: Session, name: str, point: str) -> str:
    """A name for the old database that is not taken and not too long."""
    tail = "_before_" + point.replace("-", "_")
    for number in range(100):
        ending = f"{tail}_{number}" if number else tail
        found = with_ending(name, ending)
        if not exists(session, found):
            return found
    raise ToolFailed(
        f"there is no free name to set {name} aside under", hint="drop old ones named ..._before_..."
    )
