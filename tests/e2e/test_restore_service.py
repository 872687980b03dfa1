"""The service around a restore: stopped before anything else, started when all is back."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

import testenv
from testenv import Site
from tests.e2e import accounts, gates
from tests.e2e.commands import Drkit, exactly, fails
from tests.e2e.gates import Gate

WORDS = ("restore", "latest", "--only", "database", "--yes", "--replace")


@pytest.fixture
def precious(copy: Drkit, site: Site, server: Connection, name: str) -> Drkit:
    """A drkit whose database is another one, which is not empty."""
    server.execute(f"CREATE DATABASE {name}".encode())
    with testenv.connect(site, name) as connection:
        connection.execute(b"CREATE TABLE precious (id int)")

    def change(document: dict[str, Any]) -> None:
        (database,) = document["database"]
        database["dsn"] = database["dsn"].replace("dbname=registry", f"dbname={name}")
        # Each writes down that it ran, and the first that it ran first.
        said = copy.home / "said"
        document["restore"] = {
            "stop": f"sh -c 'echo $0 >>{said}' stop",
            "start": f"sh -c 'echo $0 >>{said}' start",
        }

    return copy.change(change)


def said(drkit: Drkit) -> list[str]:
    """Which commands have run."""
    path = drkit.home / "said"
    return path.read_text().splitlines() if path.exists() else []


def tables(site: Site, name: str) -> set[str]:
    with testenv.connect(site, name) as connection:
        rows = connection.execute(b"SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {table for (table,) in rows}


@contextlib.contextmanager
def somebody(site: Site, name: str) -> Iterator[None]:
    """Who has connected and forgotten it."""
    with contextlib.closing(testenv.connect(site, name)) as connection:
        connection.execute(b"SELECT 1")
        yield


def test_stopped_before_and_started_after_and_the_way_back_leads_back(
    precious: Drkit, site: Site, name: str
) -> None:
    plan = precious.ask(*WORDS, "--dry-run")
    assert (plan["start"][-5:], plan["to_stop"]) == ("start", "")
    assert plan["expected"]["drill"]
    assert said(precious) == [], "a plan runs nothing"
    result = precious.ask(*WORDS)
    assert said(precious) == ["stop", "start"]
    assert result["service"] == "it was stopped and is started again"
    assert "project" in tables(site, name)
    (way_back,) = result["way_back"]
    password = {"PGPASSWORD": site.planted["database password"]}
    subprocess.run(shlex.split(way_back), env={**os.environ, **password}, check=True, capture_output=True)
    assert tables(site, name) == {"precious"}


def test_what_the_stop_command_says_is_shown(precious: Drkit) -> None:
    precious.change(lambda document: document.update(restore={"stop": "sh -c 'echo one; echo two >&2'"}))
    ended = precious.run(*WORDS)
    assert ended.code == 0
    assert "stop: one\n" in ended.stderr
    assert "stop: two\n" in ended.stderr
    assert "the service: it is stopped\n" in ended.stdout


def test_nothing_is_restored_where_it_does_not_stop(precious: Drkit, site: Site, name: str) -> None:
    start = "sh -c 'echo up'"
    precious.change(
        lambda document: document["restore"].update(stop="sh -c 'echo busy; exit 3'", start=start)
    )
    message = "sh failed with exit code 3: busy; nothing was restored, and the service may be stopped in part"
    fails(precious, WORDS, 7, "tool_failed", message, exactly(f"see stop in [restore]; `{start}` starts it"))
    precious.change(lambda document: document["restore"].update(stop="not-there --now"))
    fails(
        precious, WORDS, 7, "tool_missing", "not-there is not installed", r"see stop in \[restore\]; it is .*"
    )
    found = precious.run("doctor", "--json").envelope["result"]["findings"]
    assert ("restore", "problem") in {(each["name"], each["state"]) for each in found}
    assert tables(site, name) == {"precious"}


def test_an_exit_code_of_0_is_not_believed(precious: Drkit, site: Site, name: str) -> None:
    """A database that somebody is in has not been left, whatever the command says."""
    where = exactly(f"{name} at 127.0.0.1:{site.database_port}")
    message = f"the stop command ended well, but {where} is still in use: .*; nothing was restored, .*"
    hint = "let it stop these too, or leave out stop: a restore then ends their sessions; .* starts it"
    with somebody(site, name):
        fails(precious, WORDS, 7, "database_busy", message, hint)
    assert said(precious) == ["stop", "stop"], "and nothing was started"
    assert tables(site, name) == {"precious"}


def test_after_a_failure_it_stays_stopped_and_everything_is_told(
    precious: Drkit, site: Site, server: Connection, name: str
) -> None:
    broken = Gate(precious, "setpriv", "/pg_restore --exit-on-error", 'echo "it is broken" >&2; exit 1')
    ended = broken.drkit.run(*WORDS, "--json")
    assert ended.code == 7
    hint = ended.error["hint"]
    assert "the service was stopped, and stays so: `sh -c" in hint
    result = ended.envelope["result"]
    assert result["service"] == "it is stopped"
    (left,) = result["not_restored"]
    assert left["now"] == f"{name} at 127.0.0.1:{site.database_port} is as it was"
    assert "it is broken" in left["why"]
    assert said(precious) == ["stop"]
    assert tables(site, name) == {"precious"}
    assert not accounts.exists(server, f"{name}_drkit_restoring")
    assert precious.run(*WORDS).code == 0, "the same command, once it is mended"


def test_interrupted_it_is_told_that_the_service_is_stopped(precious: Drkit) -> None:
    gate = gates.loading(precious)
    process = gate.drkit.start(*WORDS)
    try:
        gate.wait(process)
        process.terminate()
    finally:
        _, stderr = process.communicate()
    assert process.returncode == 130
    assert "hint: the service was stopped, and stays so: `sh -c" in stderr


def test_a_service_that_does_not_start_is_told(precious: Drkit, site: Site, name: str) -> None:
    precious.change(lambda document: document["restore"].update(start="sh -c 'echo no; exit 4'"))
    ended = precious.run(*WORDS, "--json")
    assert ended.code == 7
    said = "everything is back, but the service does not start: sh failed with exit code 4: no"
    assert ended.error["message"] == said
    assert ended.envelope["result"]["service"] == "it is stopped"
    assert "project" in tables(site, name)


def test_a_restore_elsewhere_lets_the_service_be(precious: Drkit, site: Site, name: str) -> None:
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"
    result = precious.ask(*WORDS, "--database-dsn", where)
    assert (said(precious), result["service"]) == ([], "")


def test_without_commands_the_plan_says_what_to_stop(precious: Drkit, site: Site) -> None:
    precious.change(lambda document: document.pop("restore"))
    said = precious.run(*WORDS, "--dry-run").stdout
    directory: Path = site.harbor_yml.parent
    assert f"docker compose stop core jobservice registry registryctl in {directory}\n" in said
