"""A restored database takes another's place, on a real server: all of it or nothing, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drkit.database import swap as database_swap
from drkit.errors import DatabaseUnreachable, ToolFailed
from drkit.tools.postgres.sessions import connect
from drkit.tools.postgres.sql import compose, identifier
from drkit.tools.postgres.targets import Target
from tests.cluster import Cluster

POINT = "20260102-030405-abcdef"


def make(cluster: Cluster, name: str, content: str | None) -> Target:
    """A database, with a table that holds a word or with nothing."""
    with connect(cluster.target) as session:
        session.execute(compose("CREATE DATABASE {name}", name=identifier(name)))
    target = cluster.target.with_database(name)
    if content is not None:
        with connect(target) as session:
            session.execute("CREATE TABLE public.kept (word text)")
            session.execute("INSERT INTO public.kept VALUES (%s)", (content,))
    return target


def word(cluster: Cluster, name: str) -> str:
    with connect(cluster.target.with_database(name)) as session:
        return str(session.value("SELECT word FROM public.kept"))


def names(cluster: Cluster) -> set[str]:
    with connect(cluster.target) as session:
        return {name for (name,) in session.rows("SELECT datname FROM pg_database")}


@pytest.fixture
def before(cluster: Cluster) -> Iterator[set[str]]:
    """The databases before a test; what it makes is gone afterwards."""
    there = names(cluster)
    yield there
    with connect(cluster.target) as session:
        for name in names(cluster) - there:
            session.execute(compose("DROP DATABASE {name}", name=identifier(name)))


def swap(cluster: Cluster, name: str) -> str | None:
    return database_swap.swap(cluster.target, database_swap.beside(name), name, POINT)


def test_the_old_one_is_set_aside(cluster: Cluster, before: set[str]) -> None:
    make(cluster, "harbor", "old")
    make(cluster, database_swap.beside("harbor"), "new")
    aside = swap(cluster, "harbor")
    assert aside == "harbor_before_20260102_030405_abcdef"
    assert (word(cluster, "harbor"), word(cluster, aside)) == ("new", "old")
    make(cluster, database_swap.beside("harbor"), "newer")
    again = swap(cluster, "harbor")
    assert again == f"{aside}_2"
    assert names(cluster) - before == {"harbor", aside, again}


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_set_aside_where_nothing_was(cluster: Cluster, before: set[str], there: bool) -> None:
    if there:
        make(cluster, "harbor", None)
    make(cluster, database_swap.beside("harbor"), "new")
    assert swap(cluster, "harbor") is None
    assert word(cluster, "harbor") == "new"
    assert names(cluster) - before == {"harbor"}


def test_whoever_is_in_there_is_sent_away(cluster: Cluster, before: set[str]) -> None:
    old = make(cluster, "harbor", "old")
    make(cluster, database_swap.beside("harbor"), "new")
    with connect(old) as client:
        assert swap(cluster, "harbor") is not None
        with pytest.raises(ToolFailed):
            client.value("SELECT 1")


def test_a_failed_swap_leaves_the_old_one_open_and_in_place(cluster: Cluster, before: set[str]) -> None:
    make(cluster, "harbor", "old")
    with pytest.raises(ToolFailed, match="cannot set the database harbor aside"):
        swap(cluster, "harbor")  # there is nothing to take its place
    assert word(cluster, "harbor") == "old"
    assert names(cluster) - before == {"harbor"}


def test_one_that_a_killed_run_closed_is_set_aside_and_open_again(cluster: Cluster, before: set[str]) -> None:
    make(cluster, "harbor", "old")
    make(cluster, database_swap.beside("harbor"), "new")
    with connect(cluster.target) as session:
        database_swap.clear_out(session, "harbor")
        assert not database_swap.admits(session, "harbor")
    with pytest.raises(DatabaseUnreachable) as closed, connect(cluster.target.with_database("harbor")):
        pass
    assert "ALLOW_CONNECTIONS true" in closed.value.hint
    aside = swap(cluster, "harbor")
    assert aside is not None
    assert (word(cluster, "harbor"), word(cluster, aside)) == ("new", "old")


@pytest.mark.parametrize("name", ["n" * 63, "n" * 50, "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 31])
def test_long_names_are_not_cut_to_another_s(cluster: Cluster, before: set[str], name: str) -> None:
    """PostgreSQL cuts a name that is too long: what is beside a database would be the database itself."""
    make(cluster, name, "old")
    beside = database_swap.beside(name)
    database_swap.drop(cluster.target, beside)
    assert word(cluster, name) == "old"
    make(cluster, beside, "new")
    aside = swap(cluster, name)
    assert aside is not None
    assert (word(cluster, name), word(cluster, aside)) == ("new", "old")
    assert names(cluster) - before == {name, aside}
    assert max(len(made.encode()) for made in (beside, aside)) <= database_swap.NAME_BYTES


def test_names_that_begin_alike_stay_apart() -> None:
    assert database_swap.beside("n" * 60 + "a") != database_swap.beside("n" * 60 + "b")
    assert database_swap.beside("registry") == "registry_drkit_restoring"


def test_what_a_killed_run_has_at_work_goes_too(cluster: Cluster, before: set[str]) -> None:
    left = make(cluster, database_swap.beside("harbor"), "half")
    with connect(left):
        database_swap.drop(cluster.target, database_swap.beside("harbor"))
    assert names(cluster) == before


def test_what_has_a_subscription_can_be_dropped(cluster: Cluster, before: set[str]) -> None:
    """PostgreSQL drops no database that has one, and to drop that would reach for production's slot."""
    left = make(cluster, database_swap.beside("harbor"), None)
    with connect(left) as session:
        session.execute(
            "CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION p"
            " WITH (connect = false)"
        )
    assert database_swap.objects(left) == 1
    database_swap.drop(cluster.target, database_swap.beside("harbor"))
    assert names(cluster) == before


def test_one_that_is_called_postgres(cluster: Cluster, before: set[str]) -> None:
    """Every server has one, and drkit is in it when it makes and renames others."""
    server = database_swap.maintenance(cluster.target)
    assert server.database == "template1"
    assert database_swap.maintenance(server).database == "postgres"
    make(cluster, database_swap.beside("postgres"), "new")
    assert database_swap.swap(server, database_swap.beside("postgres"), "postgres", POINT) is None
    assert word(cluster, "postgres") == "new"
    with connect(cluster.target) as session:
        session.execute("DROP TABLE public.kept")
    assert names(cluster) == before
