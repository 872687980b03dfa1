"""PostgreSQL's programs that dump and load a database: those of this machine, or of its own container."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from drkit import config
from drkit.errors import ToolMissing
from drkit.tools import docker
from drkit.tools.docker import Container
from drkit.tools.postgres import programs as postgres_programs
from drkit.tools.postgres import sessions, targets
from drkit.tools.postgres.programs import LoadOptions, Programs
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute
from drkit.tools.process.command import Command


class Loader(Protocol):
    """Fills an empty database from an archive; raises ToolFailed."""

    def __call__(self, target: Target, archive: Path, options: LoadOptions) -> None:
        """The database is there, and nothing is in it."""


_PIECE = 1 << 20

# Where images have PostgreSQL's programs: Harbor's own (Photon), Debian's, the project's RPMs, Bitnami's, and
# the official ones, which like others put them on PATH.
_FIND = """\
for name in pg_dump pg_dumpall pg_restore; do
  path=$(command -v "$name")
  for place in "/usr/pgsql/$1/bin" "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin" \
      /opt/bitnami/postgresql/bin "${path%/*}"; do
    case $("$place/$name" --version 2>/dev/null) in
      *" $1."*|*" $1 "*|*" $1"|*" $1beta"*|*" $1rc"*) echo "$place"; break ;;
    esac
  done
done
"""


@dataclass(frozen=True)
class Dumper:
    """The programs that dump one database: `major` is theirs, which may be newer than the server's."""

    major: int
    target: Target
    login: Mapping[str, str]
    # For one command each, since each reads the password for itself.
    programs: Callable[[], AbstractContextManager[Programs]]
    caveat: str = ""

    @contextlib.contextmanager
    def dump(self, snapshot: str, encoding: str | None = None) -> Iterator[Command]:
        """pg_dump of an exported snapshot in that encoding; to be run within the block."""
        with self.programs() as programs:
            yield postgres_programs.dump(programs, self.target, snapshot, self.login, encoding)

    @contextlib.contextmanager
    def dump_roles(self, *, passwords: bool) -> Iterator[Command]:
        """pg_dumpall of the roles; to be run within the block."""
        with self.programs() as programs:
            yield postgres_programs.dump_roles(programs, self.target, self.login, passwords=passwords)


@contextlib.contextmanager
def dumper(entry: config.Database, target: Target, major: int, directory: Path) -> Iterator[Dumper]:
    """What to dump a database with, whose server has that major version; `directory` is private.

    Raises ToolMissing, ToolTooOld, and for a container what `docker.find` does.
    """
    if entry.container is not None:
        container = docker.find(entry.container)
        yield Dumper(major, within(target), {}, _attended(container, major, target.password or ""))
        return
    programs = postgres_programs.dump_programs(major, postgres_programs.installed())
    with targets.password_environment(target, directory) as login:
        caveat = newer_client(major, programs.major) if programs.major > major else ""
        yield Dumper(programs.major, target, login, lambda: contextlib.nullcontext(programs), caveat)


def newer_client(server: int, client: int) -> str:
    """What follows from dumping with a newer pg_dump than the server."""
    return (
        f"dumped by pg_dump {client} of a PostgreSQL {server} server, so it can only be restored "
        f"to PostgreSQL {client} or later; with postgresql-client-{server} it could go back to {server}"
    )


def within(target: Target) -> Target:
    """The same database as seen from inside its container."""
    kept = {key: value for key, value in target.settings.items() if key in ("user", "dbname", "port")}
    return Target({**kept, "host": "127.0.0.1"})


def programs_in(container: Container, major: int) -> Path:
    """The directory of that major version's client programs in a container; raises ToolMissing."""
    places = container.run(_FIND, str(major)).split()
    if len(places) != 3 or len(set(places)) != 1:
        raise ToolMissing(
            f"the container {container.name} has no pg_dump, pg_dumpall and pg_restore of PostgreSQL {major}",
            hint=f"give the database's address as dsn instead, and install postgresql-client-{major}",
        )
    return Path(places[0])


def look_for_loader(entry: config.Database | None, archive: int, server: int) -> None:
    """See that there is something to load a dump of that major version with into a server of that one.

    `entry` is None for a server that the configuration does not know. Raises ToolMissing, ToolTooOld.
    """
    if entry and entry.container and server >= archive:
        programs_in(docker.find(entry.container), server)
    else:
        postgres_programs.restore_programs(archive, server, postgres_programs.installed())


@contextlib.contextmanager
def loader(
    entry: config.Database | None, target: Target, archive: int, server: int, directory: Path
) -> Iterator[Loader]:
    """What fills an empty database on that server; `directory` is private. Errors as `look_for_loader`."""
    if entry and entry.container:
        container = docker.find(entry.container)
        prefix = container.with_secret("PGPASSWORD")
        programs = Programs(server, programs_in(container, server), prefix, docker.environment())
        yield partial(_load_inside, programs, target.password or "")
        return
    programs = postgres_programs.restore_programs(archive, server, postgres_programs.installed())
    with targets.password_environment(target, directory) as login:
        yield here(programs, login)


def here(programs: Programs, login: Mapping[str, str]) -> Loader:
    """Loading with programs that reach the archive: several tables side by side."""

    def load(target: Target, archive: Path, options: LoadOptions) -> None:
        with sessions.connect(target) as session:
            jobs = max(1, min(8, os.cpu_count() or 1, sessions.free_connections(session) - 2))
        execute.check(postgres_programs.restore(programs, target, archive, jobs, login, options))

    return load


def _load_inside(
    programs: Programs, password: str, target: Target, archive: Path, options: LoadOptions
) -> None:
    """Send an archive into a container: nothing of it, and of the password, is left in there.

    If we die meanwhile, pg_restore finds the archive cut short, and fails.
    """

    def pieces() -> Iterator[bytes]:
        yield f"{password}\n".encode()
        with archive.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    command = postgres_programs.restore(programs, within(target), None, 1, {}, options)
    for _ in execute.lines(command, stdin=pieces(), ended=postgres_programs.raise_if_failed):
        pass


def _attended(
    container: Container, major: int, password: str
) -> Callable[[], AbstractContextManager[Programs]]:
    directory = programs_in(container, major)

    @contextlib.contextmanager
    def programs() -> Iterator[Programs]:
        with container.attended("PGPASSWORD", password) as prefix:
            yield Programs(major, directory, prefix, docker.environment())

    return programs
