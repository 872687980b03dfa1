"""PostgreSQL: sessions by psycopg, and its own programs found by major version.

Only this module knows psycopg: its errors leave as DatabaseUnreachable or ToolFailed.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from drkit.errors import (
    ConfigError,
    DatabaseBusy,
    DatabaseUnreachable,
    Interrupted,
    SourceChanged,
    ToolFailed,
)
from drkit.logs import redact, register_secret
from drkit.tools import stopping

Query = LiteralString | sql.SQL | sql.Composed
Row = tuple[Any, ...]
Part = sql.Composable
Statement = sql.Composed

_FETCH = 2_000
# Longer than any lock that production takes in passing, shorter than anybody's patience.
LOCK_TIMEOUT = "5s"
# A server whose machine has vanished is given up after two minutes, not after the two hours that Linux waits
# (libpq, "Connection Parameter Key Words"). For one that is busy its kernel answers.
_KEEPALIVES = {"keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
_CANCEL_SECONDS = 2.0
# libpq's words about encryption; there is no code for them.
_TLS = re.compile(r"\bSSL\b|certificate|private key", re.IGNORECASE)
_TLS_HINT = "see sslmode, sslrootcert (whose CA signed the server's certificate), sslcert and sslkey in dsn"
_CLOSED = "is not currently accepting connections"
_CLOSED_HINT = "a killed restore may have closed it: `ALTER DATABASE ... ALLOW_CONNECTIONS true` opens it"
_HINT = "see that it runs and that dsn, user and password_file are right"
# libpq's own advice, which stands on lines of its own.
_ADVICE = ("Is the server running", "Either provide the file")
# Variables by which libpq finds certificates and services in files, and how much it insists on them: our own
# sessions heed them, so PostgreSQL's programs must too.
_LIBPQ_FILES = (
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCRL",
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
    # Compiling a query that hashes a table costs more than it saves.
    "jit": "off",
}


def identifier(*names: str) -> sql.Identifier:
    """A quoted, possibly qualified, SQL name."""
    return sql.Identifier(*names)


def literal(value: object) -> sql.Literal:
    """A quoted SQL value."""
    return sql.Literal(value)


def compose(template: LiteralString, **parts: sql.Composable) -> sql.Composed:
    """An SQL text with `{name}` replaced by composed parts."""
    return sql.SQL(template).format(**parts)


def joined(separator: LiteralString, parts: Sequence[sql.Composable]) -> sql.Composed:
    """Composed parts with a separator between them."""
    return sql.SQL(separator).join(parts)


def fragment(text: LiteralString) -> sql.SQL:
    """A piece of SQL that stands in drkit's own source."""
    return sql.SQL(text)


def trusted(text: str) -> sql.SQL:
    """A statement out of a dump that PostgreSQL's own programs wrote, to be run as it stands."""
    return sql.SQL(text)


def text(part: Part) -> str:
    """A composed SQL text as one statement for psql."""
    # psycopg ends no statement; psql needs that.
    return part.as_string(None) + ";"


def keyword(words: str) -> sql.SQL:
    """Words that the server itself told us (a privilege, a role option), checked to be mere letters."""
    if not re.fullmatch(r"[A-Z ]+", words):
        raise ToolFailed(f"unexpected SQL keyword {words!r}")
    return sql.SQL(words)


@dataclass(frozen=True)
class Target:
    """A database to connect to: libpq settings without the password, and the password apart."""

    settings: Mapping[str, str]
    password: str | None = None

    @property
    def database(self) -> str:
        """The database's name."""
        return self.settings.get("dbname") or self.settings.get("user") or ""

    @property
    def dsn(self) -> str:
        """The settings as a connection string for PostgreSQL's programs; holds no password."""
        return make_conninfo("", **{**_KEEPALIVES, **self.settings})

    @property
    def where(self) -> str:
        """Host, port and database for messages."""
        host = self.settings.get("host", "the local socket")
        return f"{self.database or 'PostgreSQL'} at {host}:{self.settings.get('port', '5432')}"

    def with_database(self, name: str) -> Target:
        """The same server, another database."""
        return Target({**self.settings, "dbname": name}, self.password)


def conninfo(database: str) -> str:
    """A connection string that names a database alone, for programs that take one where a name stands."""
    return make_conninfo("", dbname=database)


def target(dsn: str, password_file: Path | None) -> Target:
    """A Target from a connection string and the file with its password; raises ConfigError."""
    try:
        settings = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError as error:
        hint = 'it looks like "host=127.0.0.1 user=postgres dbname=registry"'
        raise ConfigError(f"not a connection string: {_sentence(error)}", hint=hint) from None
    if {"password", "sslpassword"} & settings.keys():
        raise ConfigError(
            "a connection string must not hold a password", hint="use password_file, or PGPASSFILE"
        )
    return Target(settings, _read_password(password_file))


def _read_password(path: Path | None) -> str | None:
    if path is None:
        own = os.environ.get("PGPASSWORD")
        return register_secret(own) if own else None
    try:
        return register_secret(path.read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the password file {path}: {error}", hint="see password_file"
        ) from None


@contextlib.contextmanager
def password_environment(where: Target, directory: Path) -> Iterator[dict[str, str]]:
    """What libpq's programs need to log in: PGPASSFILE, naming a 0600 file that is gone afterwards."""
    files = {name: os.environ[name] for name in _LIBPQ_FILES if name in os.environ}
    if where.password is None:
        # Then it is for libpq's own file to know it, wherever the user has put it.
        own = {name: os.environ[name] for name in ("PGPASSFILE",) if name in os.environ}
        yield {**files, **own}
        return
    path = directory / f"pgpass-{id(where):x}"
    escaped = where.password.replace("\\", "\\\\").replace(":", "\\:")
    path.touch(mode=0o600, exist_ok=False)
    try:
        path.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
        yield {**files, "PGPASSFILE": str(path)}
    finally:
        path.unlink()


class Session:
    """One connection. Every method raises ToolFailed with the server's own sentence.

    DatabaseBusy where a lock was waited for in vain, SourceChanged where a table is not there (any more), and
    Interrupted for a session that was ended because drkit is being interrupted.
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
            yield from cursor.execute(query)

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

    def close(self) -> None:
        """End the session; an open transaction is rolled back."""
        self._connection.close()


@contextlib.contextmanager
def connect(
    where: Target, *, autocommit: bool = True, patience: int = 10, reads: bool = False
) -> Iterator[Session]:
    """A session with canonical settings; raises DatabaseUnreachable after `patience` seconds.

    One that only `reads` is ended when drkit is interrupted, in the middle of a query that may take hours;
    any other does what it has begun.
    """
    settings = {
        "connect_timeout": str(patience),
        **_KEEPALIVES,
        **where.settings,
        "application_name": "drkit",
    }
    try:
        connection = psycopg.connect(make_conninfo("", **settings), password=where.password, autocommit=True)
    except psycopg.Error as error:
        said = _sentence(error)
        hint = _TLS_HINT if _TLS.search(said) else _CLOSED_HINT if _CLOSED in said else _HINT
        raise DatabaseUnreachable(f"cannot connect to {where.where}: {said}", hint=hint) from None
    try:
        session = Session(connection)
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


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise DatabaseBusy(f"PostgreSQL: {_sentence(error)}") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise SourceChanged(f"PostgreSQL: {_sentence(error)}") from error
    except psycopg.Error as error:
        raise ToolFailed(f"PostgreSQL: {_sentence(error)}") from error


def _sentence(error: psycopg.Error) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_ADVICE)]
    # libpq names every address that it tried; the last says what went wrong.
    last = lines[-1] if lines and lines[0].startswith(("connection", "Multiple")) else (lines or [""])[0]
    said = re.sub(r"^.*connection to server .*? failed: (?:FATAL: +)?", "", last)
    return redact(said.rstrip(".") or type(error).__name__)
