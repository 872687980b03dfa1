"""Garbage collection between the database's moment and the blobs' would tear a point apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

import testenv
from testenv import Site
from tests.e2e import moments
from tests.e2e.commands import Drkit, assert_error, exactly, fails, finish, wait_for
from tests.e2e.test_bad_input import only

_UNDER_WAY = r"a garbage collection of the registry is under way: execution \d+, since 20[-\d]+ [\d:]+ UTC"
_HINT = "run the backup when it has ended; schedule them apart"


@pytest.fixture
def quick(fresh: Drkit) -> Drkit:
    """A drkit for the database alone."""
    return fresh.change(only("database"))


@pytest.fixture
def executions(site: Site) -> Iterator[None]:
    """What a test writes of garbage collections is gone afterwards."""
    with testenv.connect(site) as connection:
        row = connection.execute(b"SELECT max(id) FROM execution").fetchone()
    assert row is not None
    yield
    with testenv.connect(site) as connection:
        for table, key in (("task", "execution_id"), ("execution", "id")):
            connection.execute(f"DELETE FROM {table} WHERE {key} > %s".encode(), row)


def snapshots(drkit: Drkit) -> int:
    return len(json.loads(drkit.restic("snapshots", "--json", "--no-lock")))


def move_end(site: Site, execution: int, into_the_future: timedelta) -> None:
    with testenv.connect(site) as connection:
        connection.execute(
            b"UPDATE execution SET end_time = now() + %s WHERE id = %s", (into_the_future, execution)
        )


@pytest.mark.usefixtures("executions")
def test_one_that_runs_is_waited_for_by_nobody(quick: Drkit, site: Site) -> None:
    testenv.garbage_collection(site, "Running")
    fails(quick, ["backup"], 3, "backup_incomplete", _UNDER_WAY, exactly(_HINT))
    assert quick.points() == []


@pytest.mark.usefixtures("executions")
def test_one_that_ran_meanwhile_makes_the_backup_start_over(quick: Drkit, site: Site) -> None:
    process = quick.start("backup", "--json")
    try:
        wait_for(moments.login_written(quick), "the database is held still")
        testenv.garbage_collection(site, "Success")
    finally:
        result = finish(process).result
    assert (result["status"], result["attempts"]) == ("sealed", 2)
    assert quick.sealed() == [result["id"]]
    assert snapshots(quick) == len(result["parts"]) + 1, "nothing of the first attempt is left"


@pytest.mark.usefixtures("executions")
def test_one_that_began_meanwhile_stops_the_backup(quick: Drkit, site: Site) -> None:
    process = quick.start("backup", "--json")
    try:
        wait_for(moments.login_written(quick), "the database is held still")
        testenv.garbage_collection(site, "Running")
    finally:
        ended = finish(process)
    assert ended.code == 3
    assert_error(ended, "backup_incomplete", _UNDER_WAY, exactly(_HINT))
    assert snapshots(quick) == 0


@pytest.mark.usefixtures("executions")
def test_one_during_each_attempt_ends_in_no_point(quick: Drkit, site: Site) -> None:
    move_end(site, testenv.garbage_collection(site, "Success"), timedelta(hours=1))
    ended = quick.run("backup", "--json")
    assert ended.code == 3
    message = "a garbage collection ran during each of 3 attempts"
    hint = exactly("schedule the backup away from Harbor's garbage collection")
    assert_error(ended, "backup_incomplete", message, hint)
    assert quick.points() == []
    assert snapshots(quick) == 0


@pytest.mark.usefixtures("executions")
def test_one_that_ended_before_is_no_obstacle(quick: Drkit, site: Site) -> None:
    move_end(site, testenv.garbage_collection(site, "Success"), timedelta(seconds=-1))
    with testenv.connect(site) as connection:
        connection.execute(
            b"UPDATE execution SET start_time = end_time - interval '1 minute'"
            b" WHERE id = (SELECT max(id) FROM execution)"
        )
    result = quick.ask("backup")
    assert (result["status"], result["attempts"]) == ("sealed", 1)
