"""Where a database is and how to log in to it: for our own sessions, and for PostgreSQL's programs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from drkit.errors import ConfigError
from drkit.logs import redact, register_secret

# A server whose machine has vanished is given up after two minutes, not after the two hours that Linux waits
# (libpq, "Connection Parameter Key Words"). For one that is busy its kernel answers.
KEEPALIVES = {
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "6",
    # Where something was sent that nobody acknowledges, no keepalive is sent; in milliseconds.
    "tcp_user_timeout": "120000",
}
# libpq's own advice, which stands on lines of its own.
_ADVICE = ("Is the server running", "Either provide the file")
# Variables by which libpq finds certificates and services in files, how much it insists on them, and to which
# servers it gives a password: our own sessions heed them, so PostgreSQL's programs must too.
_LIBPQ_FILES = (
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCRL",
    "PGREQUIREAUTH",
)


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
        return make_conninfo("", **{"connect_timeout": "30", **KEEPALIVES, **self.settings})

    @property
    def where(self) -> str:
        """Host, port and database for messages."""
        host = self.settings.get("host", "the local socket")
        return f"{self.database or 'PostgreSQL'} at {host}:{self.settings.get('port', '5432')}"

    def with_database(self, name: str) -> Target:
        """The same server, another database."""
        return Target({**self.settings, "dbname": name}, self.password)


def connection_string(**settings: str) -> str:
    """A connection string with these settings, quoted as libpq wants it."""
    return make_conninfo("", **settings)


def with_database(dsn: str, name: str) -> str:
    """The connection string of another database of the same server."""
    return make_conninfo(dsn, dbname=name)


def target(dsn: str, password_file: Path | None) -> Target:
    """A Target from a connection string and the file with its password; raises ConfigError."""
    try:
        settings = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError as error:
        hint = 'it looks like "host=127.0.0.1 user=postgres dbname=registry"'
        raise ConfigError(f"not a connection string: {sentence(error)}", hint=hint) from None
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


def sentence(error: psycopg.Error) -> str:
    """What the server or libpq says, without the addresses that were tried and without secrets."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_ADVICE)]
    # libpq names every address that it tried; the last says what went wrong.
    last = lines[-1] if lines and lines[0].startswith(("connection", "Multiple")) else (lines or [""])[0]
    said = re.sub(r"^.*connection to server .*? failed: (?:FATAL: +)?", "", last)
    return redact(said.rstrip(".") or type(error).__name__)
