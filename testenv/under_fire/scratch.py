"""A PostgreSQL server to load dumps into, with a database for each that is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from testenv import cluster
from testenv import site as sites

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg import Connection

_PASSWORD = "scratch"


@dataclass(frozen=True)
class Scratch:
    """A running server, and a directory for whatever it is fed with."""

    directory: Path
    port: int

    @contextlib.contextmanager
    def restored(self, archive: Path, owner: str = "postgres") -> Iterator[Connection]:
        """A database made of an archive, with everything the `owner`'s.

        CalledProcessError if pg_restore has anything to complain of.
        """
        with self._connect("postgres") as server:
            server.autocommit = True
            server.execute("DROP DATABASE IF EXISTS scratch WITH (FORCE)")
            # As the archive has it: nothing of it depends on a collation that this database would not have.
            server.execute("CREATE DATABASE scratch TEMPLATE template0 LOCALE 'C.UTF-8'")
            role = sql.Identifier(owner)
            if not server.execute("SELECT FROM pg_roles WHERE rolname = %s", (owner,)).fetchall():
                server.execute(sql.SQL("CREATE ROLE {}").format(role))
            server.execute(sql.SQL("ALTER DATABASE scratch OWNER TO {}").format(role))
        subprocess.run(
            [
                cluster.programs() / "pg_restore", "--exit-on-error", "--no-owner", "--no-privileges",
                f"--role={owner}",
                f"--dbname={self._dsn('scratch')}", archive,
            ],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "PGPASSWORD": _PASSWORD, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        with self._connect("scratch") as connection:
            yield connection

    def _dsn(self, name: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={name}"

    def _connect(self, name: str) -> Connection:
        return psycopg.connect(self._dsn(name), password=_PASSWORD)


@contextlib.contextmanager
def scratch_server(directory: Path) -> Iterator[Scratch]:
    """A server in a directory that is not there yet, and that is gone afterwards."""
    for path in (directory, directory / "log", directory / "run"):
        path.mkdir()
    try:
        cluster.create(directory, _PASSWORD)
        port = sites.on_free_port(lambda port: cluster.start(directory, port, _PASSWORD))
        yield Scratch(directory, port)
    finally:
        cluster.destroy(directory)
        shutil.rmtree(directory)
