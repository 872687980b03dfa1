"""Evidence is the same on every PostgreSQL major, and a dump comes back on the same one and on newer ones.

This machine's own major is always there, in a container beside the one on the machine. Further ones take
minutes to make images of (kept in $DRKIT_TESTENV_IMAGES, if that names a directory):

    DRKIT_TEST_MAJORS=13,17,18 testenv/test tests/contract/test_majors.py -o timeout=1800
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drkit import config
from drkit.database import clients, evidence, locked
from drkit.database import load as database_restore
from drkit.database.locked import LockedDatabase
from drkit.errors import ToolTooOld
from drkit.model import DatabaseEvidence
from drkit.tools.postgres import programs
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from testenv.engine import Engine
from tests.cluster import Cluster

FURTHER = [int(word) for word in os.environ.get("DRKIT_TEST_MAJORS", "").split(",") if word]
PASSWORD = "correct horse"

ODD = Path(__file__).with_name("odd.sql")


@dataclass(frozen=True)
class Server:
    """A server in a container; `entry` is how a configuration names its database."""

    major: int
    entry: config.Database

    @property
    def target(self) -> Target:
        return locked.target_of(self.entry)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("majors")


@pytest.fixture(scope="module")
def servers(engine: Engine, major: int, directory: Path) -> Iterator[dict[int, Server]]:
    """A server of each major, with the odd table."""
    password = directory / "password"
    password.write_text(PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.host)
        found = {}
        for number in sorted({major, *FURTHER}):
            name = f"postgres-{number}"
            engine.postgres(name, number, PASSWORD)
            engine.sql(name, "CREATE DATABASE registry")
            engine.sql(name, ODD, "registry")
            entry = config.Database(name="registry", container=name, password_file=password)
            found[number] = Server(number, entry)
        yield found
        engine.docker(
            "rm", "--force", "--volumes", *(server.entry.container or "" for server in found.values())
        )


def without_versions(found: DatabaseEvidence) -> DatabaseEvidence:
    """What must be the same everywhere."""
    return replace(
        found,
        name="",
        shape=replace(found.shape, database="", collate="", ctype="", collation_version="", locale=""),
        server_version=0,
        settings={},
        consistent_at=None,
    )


def gathered(entry: config.Database) -> tuple[int, DatabaseEvidence]:
    with locked.hold(entry) as held:
        return held.major, evidence.gather(held)


@pytest.fixture(scope="module")
def here(cluster: Cluster) -> DatabaseEvidence:
    """The same content on this machine's own server."""
    target = cluster.new_database()
    psql = (cluster.programs.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", f"--dbname={target.dsn}")
    execute.check(Command(psql), stdin=ODD.read_bytes())
    return gathered(config.Database(name="registry", dsn=target.dsn))[1]


def test_evidence_is_the_same_everywhere(servers: dict[int, Server], here: DatabaseEvidence) -> None:
    assert {table.table: table.rows for table in here.tables} == {
        "nothing": 1, "odd": 61, "parted_0": 52, "parted_1": 48,
    }  # fmt: skip
    assert here.large_objects is not None
    assert here.large_objects.objects == 1
    for number, server in servers.items():
        major, found = gathered(server.entry)
        assert major == number
        assert without_versions(found) == without_versions(here), f"PostgreSQL {number}"


def dumped(server: Server, held: LockedDatabase, directory: Path) -> Path:
    archive = directory / f"{server.major}.dump"
    with (
        clients.dumper(server.entry, held.target, held.major, directory) as dumper,
        dumper.dump(held.snapshot) as command,
        archive.open("wb") as file,
    ):
        done = execute.into_file(command, file)
    assert done.code == 0, done.stderr
    return archive


def test_a_dump_comes_back_on_the_same_major_and_on_newer_ones(
    servers: dict[int, Server], directory: Path
) -> None:
    for old in servers.values():
        with locked.hold(old.entry) as held:
            found = evidence.gather(held)
            archive = dumped(old, held, directory)
        for new in servers.values():
            if new.major < old.major:
                with pytest.raises(ToolTooOld, match=f"the server is PostgreSQL {new.major}, the dump is of"):
                    clients.look_for_loader(new.entry, old.major, new.major)
                continue
            name = f"from_{old.major}"
            clients.look_for_loader(new.entry, old.major, new.major)
            with clients.loader(new.entry, new.target, old.major, new.major, directory) as load:
                database_restore.bring_back(new.target, name, found, archive, "", load)
            assert evidence.differences(new.target.with_database(name), found) == ()


def test_pg_dump_of_this_machine_against_a_newer_server(servers: dict[int, Server], directory: Path) -> None:
    """Without the container's own programs: refused before anything starts, or dumped by a newer one."""
    for server in servers.values():
        apart = server.entry.model_copy(update={"container": None, "dsn": server.target.dsn})
        if server.major > max(programs.installed()):
            with (
                pytest.raises(
                    ToolTooOld, match=f"is older than the server, which is PostgreSQL {server.major}"
                ),
                clients.dumper(apart, server.target, server.major, directory),
            ):
                pass
            continue
        with clients.dumper(apart, server.target, server.major, directory) as dumper:
            assert (dumper.major > server.major) == bool(dumper.caveat)
