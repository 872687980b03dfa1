"""A dump that dies in the middle is no dump: nothing of it is stored, and the point is never sealed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator

import pytest

import testenv
from testenv import Site
from tests.e2e import gates, processes
from tests.e2e.commands import Drkit, assert_error, finish
from tests.e2e.conftest import Drilled
from tests.e2e.test_bad_input import only

# Bytes of a dump that are less than the table in it, and more than all the rest.
IN_THE_MIDDLE = 2 << 20


@pytest.fixture
def big_table(site: Site) -> Iterator[None]:
    """A table that is more than what pipes and sockets on the way hold."""
    with testenv.connect(site) as connection:
        connection.execute(
            b"CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 8) AS words"
            b" FROM generate_series(1, 200000) g"
        )
    yield
    with testenv.connect(site) as connection:
        connection.execute(b"DROP TABLE big")


def kill_program(drkit: Drkit, _site: Site) -> None:
    for process in processes.belonging_to(drkit.home):
        if process.program == "pg_dump":
            os.kill(process.pid, signal.SIGKILL)


def end_session(_drkit: Drkit, site: Site) -> None:
    with testenv.connect(site, "postgres") as server:
        dumps = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
        server.execute(dumps.encode())


def dumping(site: Site) -> bool:
    """Whether pg_dump reads the big table at this moment."""
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump' AND query LIKE 'COPY public.big %'"
    )
    with testenv.connect(site, "postgres") as server:
        return server.execute(query.encode()).fetchone() is not None


@pytest.mark.parametrize("how", [kill_program, end_session])
@pytest.mark.usefixtures("big_table")
def test_pg_dump_dies(copy: Drkit, drilled: Drilled, site: Site, how: Callable[[Drkit, Site], None]) -> None:
    copy.change(only("database"))
    gate = gates.dump_runs(copy, IN_THE_MIDDLE)
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
        assert dumping(site)
        how(copy, site)
    finally:
        gate.open()
        ended = finish(process)
    assert ended.code == 3
    message = "no recovery point was sealed: database registry: pg_dump did not finish: .*"
    assert_error(ended, "backup_incomplete", message, ".+")
    result = ended.envelope["result"]
    assert "database" not in {part["kind"] for part in result["parts"]}
    assert snapshots_of(copy, f"drkit:point:{result['id']},drkit:part:database:registry") == []
    assert copy.sealed() == [drilled.point]

    after = copy.ask("backup")
    assert after["status"] == "sealed"
    assert after["swept"] == [], "nothing of it was stored"
    assert copy.sealed() == [after["id"], drilled.point]
    assert snapshots_of(copy, f"drkit:point:{result['id']}") == []


def snapshots_of(drkit: Drkit, tags: str) -> list[str]:
    """The snapshots that bear all of the tags."""
    found = json.loads(drkit.restic("snapshots", "--json", "--no-lock", "--tag", tags))
    return [snapshot["id"] for snapshot in found]
