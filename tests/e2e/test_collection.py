"""Garbage collection between the database's moment and the blobs' would tear a point apart."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest

import testenv
from testenv import Site, harbor_api
from tests.e2e import gates, moments
from tests.e2e.commands import Drkit, assert_error, exactly, finish, wait_for
from tests.e2e.test_bad_input import only
from tests.e2e.test_read_only import section
from tests.e2e.test_tree import forget, pushed

_UNDER_WAY = r"a garbage collection of the registry is under way: execution \d+, since 20[-\d]+ [\d:]+ UTC"
_HINT = "run the backup when it has ended; schedule them apart; if its job has died, stop it in Harbor"


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
def test_one_that_ran_meanwhile_makes_the_backup_start_over(quick: Drkit, site: Site) -> None:
    gate = gates.databases_held(quick)
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
        testenv.garbage_collection(site, "Success")
    finally:
        gate.open()
        result = finish(process).result
    assert (result["status"], result["attempts"]) == ("sealed", 2)
    assert quick.sealed() == [result["id"]]
    stored = {part["snapshot"] for part in result["parts"]}
    assert snapshots(quick) == len(stored), "nothing of the first attempt is left"


@pytest.mark.usefixtures("executions")
def test_one_that_began_meanwhile_stops_the_backup(quick: Drkit, site: Site) -> None:
    quick.change(lambda document: document.update(harbor={"wait_for_collection": "1s"}))
    gate = gates.databases_held(quick)
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
        testenv.garbage_collection(site, "Running")
    finally:
        gate.open()
        ended = finish(process)
    assert ended.code == 3
    message = f"{_UNDER_WAY}, and still was after 1 seconds"
    assert_error(ended, "backup_incomplete", message, exactly(_HINT))
    assert snapshots(quick) == 0


@pytest.mark.usefixtures("executions")
def test_one_during_each_attempt_ends_in_no_point(quick: Drkit, site: Site) -> None:
    move_end(site, testenv.garbage_collection(site, "Success"), timedelta(hours=1))
    ended = quick.run("backup", "--json")
    assert ended.code == 3
    message = "a garbage collection ran during each of 3 attempts"
    hint = exactly("schedule the backup away from Harbor's garbage collection")
    assert_error(ended, "backup_incomplete", message, hint)
    assert ended.error["disturbance"] == "garbage_collection"
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


# Waiting


def end(site: Site, execution: int) -> None:
    with testenv.connect(site) as connection:
        connection.execute(
            b"UPDATE execution SET status = 'Success', end_time = now() - interval '1 second' WHERE id = %s",
            (execution,),
        )


@pytest.mark.usefixtures("executions")
def test_one_that_runs_is_waited_for_without_being_told(quick: Drkit, site: Site) -> None:
    number = testenv.garbage_collection(site, "Running")
    process = quick.start("--verbose", "backup", "--json")
    try:
        wait_for(moments.site_locked(quick), "the run holds the site")
        end(site, number)
    finally:
        result = finish(process).result
    assert (result["status"], result["attempts"]) == ("sealed", 1)


@pytest.mark.usefixtures("executions")
def test_who_waits_can_be_interrupted(quick: Drkit, site: Site) -> None:
    quick.change(lambda document: document.update(harbor={"wait_for_collection": "10m"}))
    testenv.garbage_collection(site, "Running")
    process = quick.start("backup", "--json")
    try:
        wait_for(moments.site_locked(quick), "the run holds the site")
        process.send_signal(signal.SIGINT)
    finally:
        ended = finish(process)
    assert ended.code == 130
    assert quick.points() == []


@pytest.mark.usefixtures("executions")
def test_nobody_waits_for_ever(quick: Drkit, site: Site) -> None:
    quick.change(lambda document: document.update(harbor={"wait_for_collection": "1s"}))
    testenv.garbage_collection(site, "Running")
    ended = quick.run("backup", "--json")
    assert ended.code == 3
    message = f"{_UNDER_WAY}, and still was after 1 seconds"
    assert_error(ended, "backup_incomplete", message, exactly(_HINT))


@pytest.mark.usefixtures("executions")
def test_a_dry_run_is_no_obstacle(quick: Drkit, site: Site) -> None:
    number = testenv.garbage_collection(site, "Running")
    with testenv.connect(site) as connection:
        connection.execute(
            b"UPDATE execution SET extra_attrs = '{\"dry_run\": true}' WHERE id = %s", (number,)
        )
    assert quick.ask("backup")["attempts"] == 1


@pytest.mark.usefixtures("executions")
def test_without_a_database_the_api_tells(fresh: Drkit, site: Site) -> None:
    number = testenv.garbage_collection(site, "Running")
    with harbor_api.serving(site) as api:
        fresh.change(only("secrets")).change(section(fresh, site, api, wait_for_collection="1s"))
        ended = fresh.run("backup", "--json")
        message = (
            f"a garbage collection of the registry is under way: execution {number},"
            " and still was after 1 seconds"
        )
        assert_error(ended, "backup_incomplete", message, exactly(_HINT))
        end(site, number)
        assert fresh.ask("backup")["attempts"] == 1


def test_a_blob_that_goes_with_its_row_was_collected(fresh: Drkit, site: Site) -> None:
    """No execution tells of it: the row that the snapshot has and the database no longer does."""
    fresh.change(only("database", "blobs"))
    with pushed(site) as (image, *_):
        gate = gates.databases_held(fresh)
        process = gate.drkit.start("backup", "--json")
        try:
            gate.wait(process)
            with testenv.connect(site) as connection:
                for table, key in (("artifact_blob", "digest_af"), ("artifact", "digest")):
                    connection.execute(f"DELETE FROM {table} WHERE {key} = %s".encode(), (image,))
            forget(site, image)
        finally:
            gate.open()
            result = finish(process).result
    assert (result["status"], result["attempts"], result["warnings"]) == ("sealed", 2, [])
    assert result["closure"]["missing"] == 0
