"""A private PostgreSQL cluster for tests: a socket in its own directory, and gone afterwards."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from drkit.errors import DatabaseUnreachable
from drkit.tools.postgres import programs as postgres_programs
from drkit.tools.postgres import sessions, sql, targets
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.tools.process.server import Server
from tests import needs

# Members of this role need a password; everybody else is let in.
LOGIN = "with_password"

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
}


@dataclass(frozen=True)
class Cluster:
    """A running server; `target` is its database `postgres`, `user` who it runs as (None: as ourselves)."""

    programs: postgres_programs.Programs
    target: targets.Target
    directory: Path
    user: str | None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def new_database(self) -> targets.Target:
        """An empty database that no other test knows of."""
        name = f"test_{next(self._numbers)}"
        with sessions.connect(self.target) as session:
            session.execute(sql.compose("CREATE DATABASE {name}", name=sql.identifier(name)))
        return self.target.with_database(name)

    def new_directory(self, name: str) -> Path:
        """An empty directory that belongs to whom the server runs as, gone with the cluster."""
        directory = self.directory / name
        directory.mkdir()
        if self.user:
            shutil.chown(directory, self.user, self.user)
        return directory

    def dump(self, database: targets.Target, snapshot: str) -> Path:
        """An archive of what that exported snapshot shows."""
        archive = self.directory / f"{database.database}.dump"
        with archive.open("wb") as file:
            done = execute.into_file(postgres_programs.dump(self.programs, database, snapshot, {}), file)
        assert done.code == 0, done.stderr
        return archive

    def copy(self, database: targets.Target) -> targets.Target:
        """A new database filled from a dump of that one."""
        with sessions.connect(database) as session:
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            archive = self.dump(database, session.value("SELECT pg_export_snapshot()"))
        return self.restored(archive)

    def restored(self, archive: Path) -> targets.Target:
        """A new database filled from an archive."""
        target = self.new_database()
        execute.check(postgres_programs.restore(self.programs, target, archive, 2, {}))
        return target


@contextlib.contextmanager
def private_cluster(
    major: int | None = None,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    prepare: Callable[[Path], None] = lambda _data: None,
    standby: bool = False,
) -> Iterator[Cluster]:
    """Make a cluster of that major version (the newest), run it, and remove it.

    `prepare` gets the data directory before the server starts; it may make a `standby` of another of it.
    """
    available = postgres_programs.installed()
    servers = {m: p for m, p in available.items() if (p.directory / "initdb").is_file()}
    if not servers or major not in (None, *servers):
        needs.missing(f"PostgreSQL {major or ''} is not installed: run testenv/install")
    programs = servers[major or max(servers)]
    user = "postgres" if os.geteuid() == 0 else None
    # Not below pytest's directory, which the user postgres may not enter; and short, for the socket's sake.
    directory = Path(tempfile.mkdtemp(prefix="drkit-test-", dir="/var/tmp"))
    try:
        if user:
            shutil.chown(directory, user, user)
        data = directory / "data"
        _initdb(programs, data, user)
        prepare(data)
        server = _start(programs, directory, user, settings)
        try:
            port = settings.get("port", "5432")
            where = {"host": str(directory), "port": port, "user": "postgres", "dbname": "postgres"}
            target = targets.Target(where)
            _wait(server, target)
            if not standby:
                with sessions.connect(target) as session:
                    session.execute(sql.compose("CREATE ROLE {name}", name=sql.identifier(LOGIN)))
            yield Cluster(programs, target, directory, user)
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def _initdb(programs: postgres_programs.Programs, data: Path, user: str | None) -> None:
    options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    arguments = (programs.program("initdb"), f"--pgdata={data}", *options)
    execute.check(Command(arguments, user=user, directory=data.parent))
    rules = data / "pg_hba.conf"
    rules.write_text(f"local all +{LOGIN} scram-sha-256\n{rules.read_text()}")


def _start(
    programs: postgres_programs.Programs, directory: Path, user: str | None, settings: Mapping[str, str]
) -> Server:
    words = [f"--{name}={value}" for name, value in {**_SETTINGS, **settings}.items()]
    where = ("-D", str(directory / "data"), "-k", str(directory))
    command = Command(
        (programs.program("postgres"), *where, *words),
        user=user,
        directory=directory,
        end_signal=signal.SIGQUIT,
    )
    return Server(command, directory / "log")


def _wait(server: Server, target: targets.Target) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with sessions.connect(target):
                return
        except DatabaseUnreachable:
            if not server.running or time.monotonic() > deadline:
                raise AssertionError(f"PostgreSQL does not run: {server.last_words()}") from None
            time.sleep(0.05)
