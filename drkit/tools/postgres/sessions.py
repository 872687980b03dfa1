"""PostgreSQL: sessions by psycopg, whose errors leave as DatabaseUnreachable or ToolFailed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from drkit.errors import (
    ConfigError,
    DatabaseBusy,
    DatabaseForbids,
    DatabaseUnreachable,
    DrkitError,
    Interrupted,
    SourceChanged,
    ToolFailed,
)
from drkit.tools.postgres.targets import KEEPALIVES, Target, connection_string, sentence
from drkit.tools.process import stopping

Query = LiteralString | psycopg.sql.SQL | psycopg.sql.Composed
Row = tuple[Any, ...]

_FETCH = 2_000
# Longer than the brief locks of production, and short enough to wait for.
LOCK_TIMEOUT = "5s"
_CANCEL_SECONDS = 2.0
# libpq's words about encryption; there is no code for them.
_TLS = re.compile(r"\bSSL\b|certificate|private key", re.IGNORECASE)
_TLS_HINT = "see sslmode, sslrootcert (whose CA signed the server's certificate), sslcert and sslkey in dsn"
_CLOSED = "is not currently accepting connections"
_CLOSED_HINT = "a killed restore may have closed it: `ALTER DATABASE ... ALLOW_CONNECTIONS true` opens it"
_HINT = "see that it runs and that dsn, user and password_file are right"
_POOLER_HINT = (
    "name the server's own address in dsn: through a pooler, settings of drkit and pg_dump would stay in the"
    " connections of others"
)
# How poolers refuse what only a server of its own takes (pgbouncer, Odyssey).
_POOLER = re.compile(r"unsupported startup parameter")
_FULL = re.compile(r"too many (?:clients|connections)|remaining connection slots|no more connections allowed")
_LOCKS_HINT = "raise max_locks_per_transaction on the server, which needs a restart: it has many tables"
_LOCKS = re.compile(r"max_locks_per_transaction|out of shared memory")
_ENCODING = re.compile(r"\bencoding\b")
_CONFLICT = re.compile(r"due to conflict with recovery")
CONFLICT_HINT = (
    "queries on the standby conflicted with what it replays from its primary: set hot_standby_feedback = on"
    " there, or raise max_standby_streaming_delay"
)
_FULL_HINT = (
    "all connections are taken: raise max_connections (or the connection limit of the role or database), or"
    " close some; drkit needs up to ten at a time"
)

# The text form of a value depends on these; fixed, so that evidence is the same in every session.
CANONICAL = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "search_path": "pg_catalog",
    "client_encoding": "UTF8",
    "row_security": "off",
    # A role, a database or a server may say otherwise; what is to be read only is read in such a transaction.
    "default_transaction_read_only": "off",
    "standard_conforming_strings": "on",
    # Compiling a query that hashes a table costs more than it saves.
    "jit": "off",
}


class Session:
    """One connection. Every method raises ToolFailed with the server's own sentence.

    DatabaseBusy where a lock was waited for in vain, DatabaseForbids where the user may not, SourceChanged
    where a table is not there (any more), and Interrupted for a session that was ended because drkit is being
    interrupted.
    """

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection
        self._ended = False

    def end(self, grace: float) -> None:
        """Let the query that is under way in another thread end, and let no other begin."""
        self._ended = True
        with contextlib.suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=min(grace, _CANCEL_SECONDS))

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        if self._ended:
            raise Interrupted("interrupted")
        try:
            with _translated():
                yield
        except ToolFailed:
            if self._ended:
                raise Interrupted("interrupted") from None
            raise

    def rows(self, query: Query, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of a query whose result is small."""
        with self._translated():
            return self._connection.execute(query, parameters or None).fetchall()

    def row(self, query: Query, parameters: Sequence[object] = ()) -> Row:
        """The one row of a query."""
        found = self.rows(query, parameters)
        if len(found) != 1:
            raise ToolFailed(f"expected one row from PostgreSQL, got {len(found)}")
        return found[0]

    def value(self, query: Query, parameters: Sequence[object] = ()) -> Any:
        """The one value of a query."""
        return self.row(query, parameters)[0]

    def execute(self, query: Query, parameters: Sequence[object] = ()) -> int:
        """Run a statement; returns the number of rows that it touched."""
        with self._translated():
            return self._connection.execute(query, parameters or None).rowcount

    def stream(self, query: Query) -> Iterator[Row]:
        """The rows of a query of any size, through a server-side cursor: memory stays flat."""
        with self._translated(), self._connection.cursor(name="drkit_stream") as cursor:
            cursor.itersize = _FETCH
            try:
                for row in cursor.execute(query):  # noqa: UP028 - which would close the cursor in its own way
                    yield row
            except GeneratorExit:
                # Nobody wants the rest: that the server has ended, and the cursor with it, is no news.
                with contextlib.suppress(psycopg.Error):
                    cursor.close()
                raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """A stretch whose changes are made together at its end; an error undoes them."""
        with self._translated(), self._connection.transaction():
            yield

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """A stretch whose changes are rolled back, whatever happens."""
        with self._translated(), self._connection.transaction(force_rollback=True):
            yield

    @property
    def server_version(self) -> int:
        """150012 for 15.12."""
        return self._connection.info.server_version


_FREE = """
SELECT least(
  (SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END) FROM pg_settings
   WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections'))
    - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  (SELECT CASE WHEN rolconnlimit < 0 OR rolsuper THEN 1000 ELSE rolconnlimit
     - (SELECT count(*) FROM pg_stat_activity a WHERE a.usename = current_user) END
   FROM pg_roles WHERE rolname = current_user))"""


def free_connections(session: Session) -> int:
    """How many more sessions the server would give this session's user now."""
    return int(session.value(_FREE))


@contextlib.contextmanager
def connect(
    where: Target, *, autocommit: bool = True, patience: int = 10, reads: bool = False
) -> Iterator[Session]:
    """A session with canonical settings; raises DatabaseUnreachable after `patience` seconds.

    A connection pooler is refused with ConfigError before anything is set.

    A session that only `reads` is ended when drkit is interrupted, in the middle of a query that may take
    hours; any other does what it has begun.
    """
    connection = _open(where, patience)
    try:
        session = Session(connection)
        _refuse_pooler(where, connection, session)
        for name, value in CANONICAL.items():
            session.execute("SELECT set_config(%s, %s, false)", (name, value))
        session.execute("SET statement_timeout = 0")
        session.execute("SET idle_in_transaction_session_timeout = 0")
        if session.server_version >= 170_000:
            session.execute("SET transaction_timeout = 0")
        connection.autocommit = autocommit
        with stopping.ended_by(session.end) if reads else contextlib.nullcontext():
            yield session
    finally:
        connection.close()


def _open(where: Target, patience: int) -> psycopg.Connection[Row]:
    settings = {
        "connect_timeout": str(patience),
        **KEEPALIVES,
        **where.settings,
        "application_name": "drkit",
    }
    try:
        return psycopg.connect(
            connection_string(**settings), password=where.password, autocommit=True, prepare_threshold=None
        )
    except psycopg.Error as error:
        raise _unreachable(where, sentence(error)) from None


@dataclass(frozen=True)
class ServerIdentity:
    """Which database of which running server answers.

    `system` is what initdb gave its cluster, which copies and standbys have too; `started` when it started.
    """

    system: str
    database: int
    started: str
    standby: bool


_IDENTITY = """
SELECT c.system_identifier::text, d.oid::bigint, extract(epoch FROM pg_postmaster_start_time())::text,
       pg_is_in_recovery()
FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()"""


def identity(where: Target, patience: int) -> ServerIdentity:
    """Which database it is, also behind a connection pooler: one statement, and nothing is set.

    Raises DatabaseUnreachable after `patience` seconds, ToolFailed where the user may not ask.
    """
    connection = _open(where, patience)
    try:
        return ServerIdentity(*Session(connection).row(_IDENTITY))
    finally:
        connection.close()


def is_about_encoding(error: ToolFailed) -> bool:
    """Whether the encoding of the database that the session is in was in the way.

    It has the code of any other locale that the server does not take (22023).
    """
    return bool(_ENCODING.search(error.message))


def is_conflict(said: str) -> bool:
    """Whether a standby ended something for what its primary replays."""
    return bool(_CONFLICT.search(said))


def hint_for(said: str) -> str:
    """What to do about the few of the server's errors that a setting helps against."""
    hints = ((_FULL, _FULL_HINT), (_LOCKS, _LOCKS_HINT), (_CONFLICT, CONFLICT_HINT))
    return next((hint for pattern, hint in hints if pattern.search(said)), "")


def _unreachable(where: Target, said: str) -> DrkitError:
    if _POOLER.search(said):
        return _pooler(where, f" ({said})")
    hints = ((_TLS, _TLS_HINT), (re.compile(_CLOSED), _CLOSED_HINT))
    hint = hint_for(said) or next((hint for pattern, hint in hints if pattern.search(said)), _HINT)
    return DatabaseUnreachable(f"cannot connect to {where.where}: {said}", hint=hint)


def _refuse_pooler(where: Target, connection: psycopg.Connection[Row], session: Session) -> None:
    """Raise ConfigError where the process that answers is not the one that let us in.

    A server tells its process id when it lets a client in. A pooler tells a number of its own, for it decides
    itself which connection a request to cancel goes to. Nothing is set before this is known.
    """
    if connection.info.backend_pid != session.value("SELECT pg_backend_pid()"):
        raise _pooler(where)


def _pooler(where: Target, said: str = "") -> ConfigError:
    message = f"{where.where} is a connection pooler, not the server itself{said}"
    return ConfigError(message, hint=_POOLER_HINT)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise DatabaseBusy(f"PostgreSQL: {sentence(error)}") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise SourceChanged(f"PostgreSQL: {sentence(error)}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseForbids(f"PostgreSQL: {sentence(error)}") from error
    except psycopg.Error as error:
        said = f"PostgreSQL: {sentence(error)}"
        if is_conflict(said):
            raise DatabaseBusy(said, hint=CONFLICT_HINT) from error
        raise ToolFailed(said, hint=hint_for(str(error))) from error
