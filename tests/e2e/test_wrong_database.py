"""A database that is not the registry's: nothing that is proved about nothing counts as proved."""

from __future__ import annotations

import psycopg
import pytest

from testenv import site as testenv
from testenv.site import Site
from tests.e2e.commands import Drkit
from tests.e2e.test_bad_input import set_in


def use(drkit: Drkit, site: Site, name: str) -> str:
    """Configure that database, though harbor.yml names another; returns where it is, in drkit's words."""
    where = f"host=127.0.0.1 port={site.database_port} user=postgres sslmode=disable dbname={name}"
    drkit.change(set_in("database", dsn=where)).change(set_in("site", dropped=["database:registry"]))
    return f"{name} at 127.0.0.1:{site.database_port}"


@pytest.fixture
def other(site: Site, server: psycopg.Connection, name: str) -> str:
    """An empty database beside the registry's."""
    server.execute(f'CREATE DATABASE "{name}"')
    return name


def test_an_empty_one_seals_nothing(fresh: Drkit, site: Site, other: str) -> None:
    where = use(fresh, site, other)
    hint = "see dbname in dsn; a registry that has no database needs no [[database]]"
    ended = fresh.run("backup", "--json")
    assert ended.code == 3
    assert ended.error["message"] == (
        f"no recovery point was sealed: database registry: {where} has no table at all"
    )
    assert ended.error["hint"] == hint
    assert fresh.sealed() == []
    looked = fresh.run("doctor", "--json")
    assert (looked.code, looked.error["hint"]) == (4, hint)
    assert looked.error["message"] == f"1 problem; the first: {where} has no table at all"


def test_one_that_is_not_harbor_s_leaves_the_images_to_their_links(
    fresh: Drkit, site: Site, other: str
) -> None:
    use(fresh, site, other)
    with testenv.connect(site, other) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('something else')")
    assert "it is not Harbor's" in fresh.run("doctor").stdout
    point = fresh.ask("backup")
    assert any("has no tables of Harbor's" in warning for warning in point["warnings"])
    closure = point["closure"]
    assert closure["referenced"] == closure["present"] > 20
    assert "digests" in {part["kind"] for part in point["parts"]}
    drilled = fresh.ask("drill")
    assert drilled["outcome"] == "passed"
    said = {check["name"]: check["detail"] for check in drilled["checks"]}
    assert said["tables of registry"] == "1 tables, 1 rows, content identical"
    assert said["closure"].startswith(f"all {closure['referenced']} ")


def test_one_that_is_called_postgres(fresh: Drkit, site: Site) -> None:
    """Every new server has one of that name, a drill's sandbox too."""
    use(fresh, site, "postgres")
    with testenv.connect(site, "postgres") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'something' AS word")
    try:
        fresh.ask("backup")
        assert fresh.ask("drill")["outcome"] == "passed"
    finally:
        with testenv.connect(site, "postgres") as connection:
            connection.execute("DROP TABLE kept")
