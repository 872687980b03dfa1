"""A PostgreSQL database: held still by an exported snapshot, described by evidence, dumped into restic."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from drkit import config, shape
from drkit.errors import ToolFailed
from drkit.harbor import tables
from drkit.model import DatabaseEvidence, DatabaseShape, Grant, Setting, TableEvidence
from drkit.tools import postgres
from drkit.tools.postgres import Session, Target

TableName = tuple[str, str]

_LOCK_TIMEOUT = "10s"
_ATTEMPTS = 3

# Tables whose rows pg_dump dumps: ordinary ones that belong to no extension; partitions, not their parents.
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY pg_relation_size(c.oid) DESC, 1, 2"""


@dataclass(frozen=True)
class Held:
    """A database in the middle of a REPEATABLE READ transaction, its tables locked, its snapshot exported."""

    name: str
    target: Target
    session: Session
    snapshot: str
    consistent_at: datetime
    tables: tuple[TableName, ...]

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.session.server_version // 10_000


def target_of(database: config.Database) -> Target:
    """Where the database is; raises ConfigError if its password file cannot be read."""
    return postgres.target(database.dsn, database.password_file)


@contextlib.contextmanager
def hold(database: config.Database) -> Iterator[Held]:
    """Hold a database still until the block ends.

    The tables are locked before the snapshot is taken, so that no change of schema slips in between; a table
    that appeared meanwhile makes it start over. Waiting for locks is bounded: a backup never queues up
    behind a migration and makes production queue up behind itself.
    """
    target = target_of(database)
    with postgres.connect(target) as session:
        session.execute("SELECT set_config('lock_timeout', %s, false)", (_LOCK_TIMEOUT,))
        for _ in range(_ATTEMPTS):
            held = _try_to_hold(database.name, target, session)
            if held:
                yield held
                return
            session.execute("ROLLBACK")
        raise ToolFailed(
            f"the tables of {target.where} changed {_ATTEMPTS} times while they were being locked",
            hint="a migration is under way: run the backup when it has ended",
        )


def _try_to_hold(name: str, target: Target, session: Session) -> Held | None:
    wanted = list_tables(session)
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        if wanted:
            names = postgres.joined(", ", [postgres.identifier(*table) for table in wanted])
            session.execute(postgres.compose("LOCK TABLE {names} IN ACCESS SHARE MODE", names=names))
    except ToolFailed as error:
        raise ToolFailed(
            f"cannot lock the tables of {target.where}: {error.message}",
            hint="a migration or VACUUM FULL holds them: run the backup when it has ended",
        ) from None
    # LOCK takes no snapshot, so the transaction's view of the data begins here, with every table locked.
    snapshot, moment = session.row("SELECT pg_export_snapshot(), clock_timestamp()")
    if sorted(list_tables(session)) != sorted(wanted):
        return None
    return Held(name, target, session, snapshot, moment.astimezone(UTC), wanted)


def list_tables(session: Session) -> tuple[TableName, ...]:
    """(schema, table) of every table with rows of its own, the largest first."""
    return tuple((schema, table) for schema, table in session.rows(_TABLES))


@contextlib.contextmanager
def shared_session(held: Held) -> Iterator[Session]:
    """Another session that sees the very same data."""
    with postgres.connect(held.target) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = postgres.literal(held.snapshot)
        session.execute(postgres.compose("SET TRANSACTION SNAPSHOT {snapshot}", snapshot=snapshot))
        # Production has better things to do with its other processors.
        session.execute("SET max_parallel_workers_per_gather = 0")
        yield session


def gather_evidence(held: Held) -> DatabaseEvidence:
    """Facts about the held database, read in sessions that share its snapshot."""
    with shared_session(held) as session:
        extensions = session.rows("SELECT extname, extversion FROM pg_extension ORDER BY 1")
        return DatabaseEvidence(
            name=held.name,
            shape=read_shape(session),
            server_version=session.server_version,
            extensions={str(name): str(version) for name, version in extensions},
            tables=hash_all(held.tables, lambda: shared_session(held)),
            # The bootstrap superuser always has this id.
            superuser=session.value("SELECT pg_get_userbyid(10)"),
            harbor_schema=tables.schema_version(session),
            role_passwords=can_read_passwords(session),
        )


def hash_all(
    names: Sequence[TableName], session: Callable[[], AbstractContextManager[Session]]
) -> tuple[TableEvidence, ...]:
    """Evidence of the tables named, over a few sessions side by side; give the largest tables first."""
    queue: SimpleQueue[TableName] = SimpleQueue()
    for name in names:
        queue.put(name)

    def work(_number: int) -> list[TableEvidence]:
        found = []
        with session() as own:
            while True:
                try:
                    found.append(hash_table(own, *queue.get_nowait()))
                except Empty:
                    return found

    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        done = [evidence for share in pool.map(work, range(workers)) for evidence in share]
    return tuple(sorted(done, key=lambda evidence: (evidence.schema, evidence.table)))


def hash_table(session: Session, schema: str, table: str) -> TableEvidence:
    """A table's evidence; see shape.table_hash for what the hash is."""
    query = postgres.compose("SELECT {evidence}", evidence=shape.table_hash(schema, table))
    rows, digest = session.row(query)
    return TableEvidence(schema, table, int(rows), digest)


def read_shape(session: Session) -> DatabaseShape:
    """What CREATE DATABASE needs to make this database again; reads the columns that this server has."""
    have = {
        name
        for (name,) in session.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'pg_database'::regclass"
        )
    }
    locale = next((column for column in ("datlocale", "daticulocale") if column in have), None)
    query = postgres.compose(
        "SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,"
        " datconnlimit, coalesce(shobj_description(oid, 'pg_database'), ''), datacl IS NULL,"
        " {provider}, {locale}, {version}"
        " FROM pg_database WHERE datname = current_database()",
        provider=_column(have, "datlocprovider", "c"),
        locale=_column(have, locale or "", ""),
        version=_column(have, "datcollversion", ""),
    )
    row = session.row(query)
    name, owner, encoding, collate, ctype, limit, comment, default_acl, provider, icu, version = row
    return DatabaseShape(
        database=name,
        owner=owner,
        encoding=encoding,
        locale_provider={"i": "icu", "b": "builtin"}.get(provider, "libc"),
        collate=collate,
        ctype=ctype,
        locale=icu,
        collation_version=version,
        connection_limit=limit,
        comment=comment,
        default_acl=default_acl,
        grants=_grants(session),
        settings=_settings(session),
    )


def _column(have: set[str], name: str, otherwise: str) -> postgres.Part:
    if name not in have:
        return postgres.literal(otherwise)
    return postgres.compose("coalesce({name}::text, '')", name=postgres.identifier(name))


def _grants(session: Session) -> tuple[Grant, ...]:
    query = (
        "SELECT CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END, privilege_type, is_grantable"
        " FROM pg_database, aclexplode(datacl) WHERE datname = current_database() ORDER BY 1, 2"
    )
    return tuple(Grant(*row) for row in session.rows(query))


def _settings(session: Session) -> tuple[Setting, ...]:
    query = (
        "SELECT CASE setrole WHEN 0 THEN '' ELSE pg_get_userbyid(setrole) END, unnest(setconfig)"
        " FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
        " WHERE datname = current_database() ORDER BY 1, 2"
    )
    pairs = [(role, *setting.split("=", 1)) for role, setting in session.rows(query)]
    return tuple(Setting(name, value, role) for role, name, value in pairs)


def can_read_passwords(session: Session) -> bool:
    """Whether this user may read the roles' password hashes (managed services do not let anybody)."""
    return bool(session.value("SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')"))
