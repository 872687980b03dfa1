"""PostgreSQL: sessions by psycopg, and its own programs found by major version.

Only this module knows psycopg: its errors leave as DatabaseUnreachable or ToolFailed.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from drkit.errors import (
    ConfigError,
    DatabaseBusy,
    DatabaseUnreachable,
    SourceChanged,
    ToolFailed,
    ToolMissing,
    ToolTooOld,
)
from drkit.logs import redact, register_secret
from drkit.tools.process import Command, Completed, failure

Query = LiteralString | sql.SQL | sql.Composed
Row = tuple[Any, ...]
Part = sql.Composable
Statement = sql.Composed

# Where distributions put several majors side by side: Debian and Ubuntu, then the PostgreSQL project's RPMs.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
_FETCH = 2_000
# How pg_dump says that a lock was not to be had, or that something vanished while it looked.
_WAITED = re.compile(r"due to (?:lock|statement) timeout")
_VANISHED = re.compile(
    r"(?:relation|type|function|schema) .*does not exist|cache lookup failed|could not open relation"
)
# Longer than any lock that production takes in passing, shorter than anybody's patience.
LOCK_TIMEOUT = "5s"
# libpq's words about encryption; there is no code for them.
_TLS = re.compile(r"\bSSL\b|certificate|private key", re.IGNORECASE)
_TLS_HINT = "see sslmode, sslrootcert (whose CA signed the server's certificate), sslcert and sslkey in dsn"
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
        """The settings as a connection string; holds no password."""
        return make_conninfo("", **self.settings)

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
    if settings.pop("password", None) is not None:
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

    DatabaseBusy where a lock was waited for in vain, SourceChanged where a table is not there (any more).
    """

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def rows(self, query: Query, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of a query whose result is small."""
        with _translated():
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
        with _translated():
            return self._connection.execute(query, parameters or None).rowcount

    def stream(self, query: Query) -> Iterator[Row]:
        """The rows of a query of any size, through a server-side cursor: memory stays flat."""
        with _translated(), self._connection.cursor(name="drkit_stream") as cursor:
            cursor.itersize = _FETCH
            yield from cursor.execute(query)

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """A stretch whose changes are rolled back, whatever happens."""
        with _translated(), self._connection.transaction(force_rollback=True):
            yield

    @property
    def server_version(self) -> int:
        """150012 for 15.12."""
        return self._connection.info.server_version

    def close(self) -> None:
        """End the session; an open transaction is rolled back."""
        self._connection.close()


@contextlib.contextmanager
def connect(where: Target, *, autocommit: bool = True, patience: int = 10) -> Iterator[Session]:
    """A session with canonical settings; raises DatabaseUnreachable after `patience` seconds."""
    settings = {"connect_timeout": str(patience), **where.settings, "application_name": "drkit"}
    try:
        connection = psycopg.connect(make_conninfo("", **settings), password=where.password, autocommit=True)
    except psycopg.Error as error:
        said = _sentence(error)
        hint = _TLS_HINT if _TLS.search(said) else _HINT
        raise DatabaseUnreachable(f"cannot connect to {where.where}: {said}", hint=hint) from None
    try:
        session = Session(connection)
        for name, value in CANONICAL.items():
            session.execute("SELECT set_config(%s, %s, false)", (name, value))
        session.execute("SET statement_timeout = 0")
        session.execute("SET idle_in_transaction_session_timeout = 0")
        connection.autocommit = autocommit
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


@dataclass(frozen=True)
class Programs:
    """The directory of one major version's programs.

    `prefix` stands before each where they run in another place than here, such as a container.
    """

    major: int
    directory: Path
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Command:
        """`pg_dump`, `pg_restore`, ... with arguments; raises ToolMissing."""
        words = (*self.prefix, self.program(name), *arguments)
        return Command(words, {**self.environment, **environment}, called=name)

    def program(self, name: str) -> str:
        """The path of `pg_dump`, `initdb`, ...; raises ToolMissing."""
        path = self.directory / name
        if not self.prefix and not path.is_file():
            raise ToolMissing(
                f"{name} of PostgreSQL {self.major} is not installed",
                hint=f"install the package postgresql-{self.major}",
            )
        return str(path)


def installed(places: Sequence[str] = _PLACES) -> dict[int, Programs]:
    """Major -> programs, for all majors on this machine."""
    found = {}
    for place in places:
        for directory in Path("/").glob(place.lstrip("/")):
            major = re.search(r"[/-](\d+)/bin$", str(directory))
            if major and (directory / "pg_dump").is_file():
                found[int(major[1])] = Programs(int(major[1]), directory)
    return found


def dump_programs(server_major: int, available: Mapping[int, Programs]) -> Programs:
    """The programs to dump a server with: its own major, else the nearest newer.

    Raises ToolTooOld or ToolMissing.
    """
    if not available:
        raise ToolMissing("pg_dump is not installed", hint=f"install postgresql-client-{server_major}")
    fitting = [major for major in sorted(available) if major >= server_major]
    if not fitting:
        raise ToolTooOld(
            f"pg_dump {max(available)} is older than the server, which is PostgreSQL {server_major}",
            hint=f"install postgresql-client-{server_major}",
        )
    return available[fitting[0]]


def restore_programs(archive: int, server: int, available: Mapping[int, Programs]) -> Programs:
    """The programs to restore a dump with: they read it, and say nothing that the server does not know.

    `archive` is the major version of the pg_dump that wrote it. An older pg_restore refuses a newer dump, and
    a newer pg_restore sets parameters that an older server has not heard of (transaction_timeout, from 17).
    Raises ToolTooOld where the server is older than the dump, ToolMissing.
    """
    if server < archive:
        raise ToolTooOld(
            f"the server is PostgreSQL {server}, the dump is of PostgreSQL {archive}",
            hint="restore to a server at least as new",
        )
    fitting = [major for major in sorted(available) if archive <= major <= server]
    if not fitting:
        have = ", ".join(map(str, sorted(available))) or "none"
        versions = str(server) if server == archive else f"{archive} to {server}"
        raise ToolMissing(
            f"restoring a dump of PostgreSQL {archive} to a server of {server} needs pg_restore of {versions}"
            f" (there is: {have})",
            hint=f"install postgresql-client-{server}",
        )
    return available[fitting[-1]]


def has_server(major: int, available: Mapping[int, Programs]) -> bool:
    """Whether a server of exactly that major version can be made here."""
    return major in available and (available[major].directory / "initdb").is_file()


def server_programs(major: int, available: Mapping[int, Programs]) -> Programs:
    """The programs to run a throwaway server of exactly that major; raises ToolMissing."""
    if not has_server(major, available):
        have = ", ".join(map(str, sorted(available))) or "none"
        raise ToolMissing(
            f"PostgreSQL {major} is not installed here (there is: {have})",
            hint=f"a drill needs the same major version: install postgresql-{major}, "
            "or name an image that has it as database_image in [drill]",
        )
    return available[major]


def dump(programs: Programs, where: Target, snapshot: str, environment: Mapping[str, str]) -> Command:
    """`pg_dump` of an exported snapshot to standard output, in the custom format.

    Uncompressed: restic compresses, and finds again what has not changed only in plain bytes. It waits for no
    lock longer than LOCK_TIMEOUT: somebody who wants to change a table stands before it in the queue, and
    waits for us.
    """
    arguments = ("--format=custom", "--compress=0", f"--snapshot={snapshot}", "--no-password")
    options = (f"--lock-wait-timeout={LOCK_TIMEOUT}", f"--dbname={where.dsn}")
    return programs.command("pg_dump", (*arguments, *options), environment)


def dump_failure(error: ToolFailed) -> ToolFailed:
    """What a failed dump's words mean: DatabaseBusy, SourceChanged, or the error as it is."""
    if _WAITED.search(error.message):
        return DatabaseBusy(error.message, hint=error.hint)
    if _VANISHED.search(error.message):
        return SourceChanged(error.message, hint=error.hint)
    return error


def dump_roles(
    programs: Programs, where: Target, environment: Mapping[str, str], *, passwords: bool
) -> Command:
    """`pg_dumpall` of the cluster's roles and memberships to standard output, as SQL."""
    options = () if passwords else ("--no-role-passwords",)
    arguments = ("--roles-only", *options, "--no-password", f"--dbname={where.dsn}")
    return programs.command("pg_dumpall", (*arguments, f"--database={where.database}"), environment)


def restore(
    programs: Programs,
    where: Target,
    archive: Path | None,
    jobs: int,
    environment: Mapping[str, str],
    *,
    tablespaces: bool = True,
) -> Command:
    """`pg_restore` into an empty database; the first error ends it.

    Several tables side by side, or one after the other where the archive comes by standard input (None).
    Without `tablespaces` everything goes into the database's own.
    """
    own = where.settings.get("options", "")
    session = f"{own} -c synchronous_commit=off -c maintenance_work_mem=256MB".strip()
    quicker = Target({**where.settings, "options": session})
    arguments = ("--exit-on-error", "--no-password", *(() if tablespaces else ("--no-tablespaces",)))
    what = (f"--jobs={jobs}", str(archive)) if archive else ()
    return programs.command("pg_restore", (*arguments, f"--dbname={quicker.dsn}", *what), environment)


def read_archive(programs: Programs) -> Command:
    """`pg_restore` reading a whole archive from standard input, keeping nothing."""
    return programs.command("pg_restore", ("--file=/dev/null",), {})


def raise_if_failed(completed: Completed) -> None:
    """For `process.lines`: raise ToolFailed unless pg_restore ended well."""
    if completed.code != 0:
        raise failure(Command(("pg_restore",)), completed)
