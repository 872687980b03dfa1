"""A connection pooler is refused before anything is set in a connection that it hands on to others."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.errors import ConfigError, DatabaseUnreachable
from drkit.tools.postgres.sessions import connect
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.tools.process.server import Server
from tests import needs
from tests.cluster import Cluster

_SETTINGS = "SELECT name, setting FROM pg_settings WHERE context IN ('user', 'superuser') ORDER BY 1"


@contextlib.contextmanager
def pooled(cluster: Cluster, mode: str, name: str = "pooler") -> Iterator[Target]:
    """The cluster's database `postgres` through pgbouncer with one connection to the server."""
    program = needs.program("pgbouncer")
    directory = cluster.new_directory(f"{name}-{mode}")
    port = cluster.target.settings.get("port", "5432")
    config = directory / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={cluster.directory} port={port} user=postgres\n"
        f"[pgbouncer]\nauth_type = any\npool_mode = {mode}\nlisten_addr =\nlisten_port = 6432\n"
        f"default_pool_size = 1\nunix_socket_dir = {directory}\nlogfile = {directory}/log\n"
    )
    config.chmod(0o644)
    command = Command((program, str(config)), user=cluster.user, directory=directory)
    server = Server(command, directory / "out")
    target = Target({"host": str(directory), "port": "6432", "user": "postgres", "dbname": "postgres"})
    try:
        deadline = time.monotonic() + 60
        while not _listens(directory / ".s.PGSQL.6432"):
            assert server.running, server.last_words()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield target
    finally:
        server.stop()


def _listens(path: Path) -> bool:
    """A socket is there before anybody listens on it."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def settings_through(cluster: Cluster, target: Target) -> str:
    """What the next client of the pooler finds set."""
    psql = (cluster.programs.program("psql"), "-XqAt", "-c", _SETTINGS, f"--dbname={target.dsn}")
    return execute.check(Command(psql)).text


@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_a_pooler_is_refused_and_left_as_it_was(cluster: Cluster, mode: str) -> None:
    with pooled(cluster, mode) as target:
        before = settings_through(cluster, target)
        with pytest.raises(ConfigError) as caught, connect(target):
            pass
        assert caught.value.message.endswith("is a connection pooler, not the server itself")
        assert "the server's own address in dsn" in caught.value.hint
        assert settings_through(cluster, target) == before


def test_a_pooler_that_takes_no_options_is_refused_as_such(cluster: Cluster) -> None:
    with pooled(cluster, "session", "options") as target:
        options = Target({**target.settings, "options": "-c work_mem=8MB"})
        with pytest.raises(ConfigError, match=r"is a connection pooler, not the server itself .*options"):
            connect(options).__enter__()


def test_the_server_itself_is_none(cluster: Cluster) -> None:
    with connect(cluster.target) as session:
        assert session.value("SELECT 1") == 1


def test_a_server_without_a_free_connection(cluster: Cluster) -> None:
    with connect(cluster.target) as session:
        session.execute("CREATE DATABASE full_one CONNECTION LIMIT 0")
        session.execute("CREATE ROLE ordinary LOGIN")
    full = Target({**cluster.target.settings, "dbname": "full_one", "user": "ordinary"})
    with pytest.raises(DatabaseUnreachable) as caught, connect(full):
        pass
    assert "max_connections" in caught.value.hint
