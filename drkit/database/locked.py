"""A PostgreSQL database held still: its tables locked, its snapshot exported for its readers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from drkit import config
from drkit.errors import ConfigError, DatabaseBusy, SourceChanged, ToolFailed
from drkit.model import SequenceEvidence
from drkit.tools import docker
from drkit.tools.postgres import sessions, sql, targets
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target

TableName = tuple[str, str]

# While one table is waited for, others are locked already, and whoever wants to change those waits for us.
_LOCK_TIMEOUT = "2s"
_PAUSE_SECONDS = 1.0

# Tables whose rows pg_dump dumps: ordinary ones that belong to no extension; partitions, not their parents.
# Those whose content a standby does not have (unlogged ones) are told apart: a dump of it has none either.
_TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relpersistence = 'u' AND pg_is_in_recovery()
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY pg_relation_size(c.oid) DESC, 2, 3"""
_TableWithId = tuple[int, str, str, bool]

# Those of an extension are made by it, and stand in no dump either.
_SEQUENCES = """
SELECT s.schemaname, s.sequencename, s.last_value, s.increment_by, s.cycle FROM pg_sequences s
JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename
WHERE s.schemaname <> 'information_schema' AND s.schemaname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2"""

_HOLDERS = """
SELECT format('%I.%I is held by process %s (%s, user %s)', n.nspname, c.relname, l.pid,
              coalesce(nullif(a.application_name, ''), 'a client'), a.usename)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stat_activity a USING (pid)
WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND a.datname = current_database()
  AND n.nspname NOT LIKE 'pg\\_%' ORDER BY a.xact_start, 1 LIMIT 1"""


WRONG_ONE = "see dbname in dsn; a registry that has no database needs no [[database]]"
# What Harbor's own database container has.
_IN_A_CONTAINER = {"user": "postgres", "dbname": "registry"}


@dataclass(frozen=True)
class LockedDatabase:
    """A database in the middle of a REPEATABLE READ transaction, its tables locked, its snapshot exported.

    `empty` are tables of a standby that hold nothing there, and nothing in its dump. `sequences` stood so
    before anything was dumped: they know of no snapshot, and go on.
    """

    name: str
    target: Target
    session: Session
    snapshot: str
    consistent_at: datetime
    tables: tuple[TableName, ...]
    empty: tuple[TableName, ...] = ()
    sequences: tuple[SequenceEvidence, ...] = ()

    @property
    def encoding(self) -> str:
        """The database's own encoding."""
        return str(self.session.value("SHOW server_encoding"))

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.session.server_version // 10_000


def target_of(database: config.Database) -> Target:
    """Where the database is; raises ConfigError if its password file cannot be read.

    For one in a container, where it is now: the address may be another when it has been started anew. Raises
    what `docker.find` does.
    """
    target = targets.target(database.dsn or "", database.password_file)
    if database.container is None:
        return target
    for key in ("host", "hostaddr", "service"):
        if key in target.settings:
            raise ConfigError(
                f"database {database.name} has a container, so its dsn must not name a {key}",
                hint="the container's own address is looked up; keep user and dbname, or remove container",
            )
    address = docker.find(database.container).address
    return Target({**_IN_A_CONTAINER, **target.settings, "host": address}, target.password)


def password_of(database: config.Database) -> str | None:
    """The password to log in with, if there is one; asks nobody. Raises ConfigError as `target_of` does."""
    return targets.target(database.dsn or "", database.password_file).password


def where(database: config.Database) -> str:
    """Where the database is, for a person; asks nobody. Raises ConfigError as `target_of` does."""
    if database.container is None:
        return target_of(database).where
    settings = targets.target(database.dsn or "", None).settings
    return f"{settings.get('dbname', _IN_A_CONTAINER['dbname'])} in the container {database.container}"


@contextlib.contextmanager
def hold(database: config.Database) -> Iterator[LockedDatabase]:
    """Hold a database still until the block ends.

    The tables are locked before the snapshot is taken, so that no change of schema slips in between; one that
    was made, dropped or made anew meanwhile makes it start over. Locks are waited for in short stretches with
    everything let go between them, `lock_wait` in all: a backup that queues up behind a migration would make
    production queue up behind itself. Raises DatabaseBusy, DatabaseUnreachable, ToolFailed.
    """
    target = target_of(database)
    with sessions.connect(target, reads=True) as session:
        session.execute("SELECT set_config('lock_timeout', %s, false)", (_LOCK_TIMEOUT,))
        end = time.monotonic() + database.lock_wait.total_seconds()
        while True:
            try:
                held = _try_to_hold(database.name, target, session)
                held = replace(held, sequences=_sequences(held))
                break
            except (DatabaseBusy, SourceChanged) as error:
                who = _who_holds(target)
                session.execute("ROLLBACK")
                if time.monotonic() > end:
                    raise DatabaseBusy(
                        f"the tables of {target.where} could not be held still for {database.lock_wait}: "
                        f"{who or error.message}",
                        hint="a migration or VACUUM FULL is under way: run the backup when it has ended, "
                        "or raise lock_wait in [[database]]",
                    ) from None
            time.sleep(_PAUSE_SECONDS)
        yield held


def _try_to_hold(name: str, target: Target, session: Session) -> LockedDatabase:
    wanted = _tables_with_ids(session)
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    names = tuple((schema, table) for _, schema, table, empty in wanted if not empty)
    try:
        _lock(session, names)
    except (DatabaseBusy, SourceChanged):
        raise
    except ToolFailed as error:
        raise ToolFailed(
            f"cannot lock the tables of {target.where}: {error.message}",
            hint="the user in dsn must be allowed to read every table: Harbor's own or a superuser",
        ) from None
    # LOCK takes no snapshot, so the transaction's view of the data begins here, with every table locked.
    snapshot, moment = session.row("SELECT pg_export_snapshot(), clock_timestamp()")
    if set(_tables_with_ids(session)) != set(wanted):
        raise SourceChanged("tables were made or dropped meanwhile")
    empty = tuple((schema, table) for _, schema, table, nothing in wanted if nothing)
    return LockedDatabase(name, target, session, snapshot, moment.astimezone(UTC), names, empty)


def _lock(session: Session, names: Sequence[TableName]) -> None:
    if names:
        tables = sql.joined(", ", [sql.identifier(*name) for name in names])
        session.execute(sql.compose("LOCK TABLE {tables} IN ACCESS SHARE MODE", tables=tables))


def _who_holds(target: Target) -> str:
    """Who holds a table of this database for itself alone, at this moment."""
    with sessions.connect(target) as other:
        return "".join(sentence for (sentence,) in other.rows(_HOLDERS))


def _tables_with_ids(session: Session) -> tuple[_TableWithId, ...]:
    return tuple((oid, schema, table, empty) for oid, schema, table, empty in session.rows(_TABLES))


def _sequences(held: LockedDatabase) -> tuple[SequenceEvidence, ...]:
    """In a session of its own: to read a sequence locks it until the transaction ends."""
    with shared_session(held) as session:
        return read_sequences(session)


def read_sequences(session: Session) -> tuple[SequenceEvidence, ...]:
    """Where every sequence stands at this moment; sequences know of no snapshot."""
    return tuple(SequenceEvidence(*row) for row in session.rows(_SEQUENCES))


def list_tables(session: Session) -> tuple[TableName, ...]:
    """(schema, table) of every table with rows of its own, the largest first."""
    return tuple((schema, table) for _, schema, table, _ in _tables_with_ids(session))


@contextlib.contextmanager
def shared_session(held: LockedDatabase, lock_timeout: str = sessions.LOCK_TIMEOUT) -> Iterator[Session]:
    """Another session that sees the very same data.

    A session that came in between to change a table waits for `held`, and this one would wait for it, with
    production behind both: so it gives up after `lock_timeout` with DatabaseBusy. It locks no more than what
    it reads: with thousands of tables the server's room for locks is small.
    """
    with sessions.connect(held.target, reads=True) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = sql.literal(held.snapshot)
        session.execute(sql.compose("SET TRANSACTION SNAPSHOT {snapshot}", snapshot=snapshot))
        session.execute("SELECT set_config('lock_timeout', %s, false)", (lock_timeout,))
        # Production needs its other processors.
        session.execute("SET max_parallel_workers_per_gather = 0")
        yield session


def can_read_passwords(session: Session) -> bool:
    """Whether this user may read the roles' password hashes (managed services do not let anybody)."""
    return bool(session.value("SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')"))
