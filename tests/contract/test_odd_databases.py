"""Databases as they are in the world: dumped, compared and restored without a false alarm."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drkit import config
from drkit.database import clients, evidence, locked, statements
from drkit.database import load as database_restore
from drkit.database.harbor_facts import look
from drkit.errors import DatabaseBusy, ToolFailed
from drkit.model import DatabaseEvidence
from drkit.tools.postgres import programs
from drkit.tools.postgres.sessions import connect
from drkit.tools.postgres.sql import compose, identifier
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from tests.cluster import Cluster, private_cluster


def round_trip(cluster: Cluster, where: Target, name: str = "odd_back") -> tuple[DatabaseEvidence, Target]:
    """Evidence, a dump by drkit's own command, and the database restored from it."""
    entry = config.Database(name="registry", dsn=where.dsn)
    archive = cluster.directory / "odd.dump"
    with (
        locked.hold(entry) as held,
        clients.dumper(entry, held.target, held.major, cluster.directory) as dumper,
    ):
        found = evidence.gather(held)
        with dumper.dump(held.snapshot, held.encoding) as command, archive.open("wb") as file:
            done = execute.into_file(command, file)
    assert done.code == 0, done.stderr
    server = cluster.target
    with connect(server) as session:
        session.execute(compose("DROP DATABASE IF EXISTS {name}", name=identifier(name)))
    database_restore.bring_back(server, name, found, archive, "", clients.here(cluster.programs, {}))
    return found, server.with_database(name)


def psql(cluster: Cluster, target: Target, text: str) -> str:
    words = (cluster.programs.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", f"--dbname={target.dsn}")
    return execute.check(Command(words), stdin=text.encode()).text


def same_by_script(cluster: Cluster, target: Target, found: DatabaseEvidence) -> None:
    """What recover.sh finds."""
    assert psql(cluster, target, "\n".join(statements.comparisons(found))) == ""


def test_xml_comes_back_as_a_dump_has_it(cluster: Cluster) -> None:
    where = cluster.new_database()
    with connect(where) as session:
        session.execute("CREATE DOMAIN public.page AS xml")
        session.execute("CREATE TABLE public.x (id int, doc xml, other public.page)")
        for number, text in enumerate(
            (
                "<a/>", "\n<a/>", "\n\n\n<a/>", '<?xml version="1.0"?><a/>', '<?xml version="1.0"?>\n\n<a/>',
                '<?xml version="1.1"?>\n<a/>', '<?xml version="1.0" standalone="yes"?><a/>', "text",
            )
        ):  # fmt: skip
            session.execute("INSERT INTO public.x VALUES (%s, %s::xml, %s::xml)", (number, text, text))
    found, back = round_trip(cluster, where)
    assert evidence.differences(back, found) == ()
    same_by_script(cluster, back, found)
    again, _ = round_trip(cluster, back, "odd_again")
    assert again.tables == found.tables
    with connect(back) as session:
        session.execute("UPDATE public.x SET doc = '<b/>' WHERE id = 3")
    assert evidence.differences(back, found) == (
        "public.x has the right number of rows (8) but other content",
    )
    assert "other content" in psql(cluster, back, "\n".join(statements.comparisons(found)))


def test_settings_of_a_database_or_role_change_nothing(cluster: Cluster) -> None:
    """Read-only sessions, and an encoding that has not every letter."""
    where = cluster.new_database()
    name = identifier(where.database)
    with connect(where) as session:
        session.execute("CREATE TABLE public.t AS SELECT chr(8364) AS euro")
        session.execute(compose("ALTER DATABASE {name} SET default_transaction_read_only = on", name=name))
        session.execute(compose("ALTER DATABASE {name} SET client_encoding = 'LATIN1'", name=name))
    found, back = round_trip(cluster, where)
    assert evidence.differences(back, found) == ()
    with connect(back) as session:
        assert session.value("SELECT euro FROM public.t") == "\N{EURO SIGN}"
        assert len(found.shape.settings) == 2


def test_a_role_that_may_only_read_can_restore(cluster: Cluster) -> None:
    with connect(cluster.target) as session:
        session.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        session.execute("SELECT pg_reload_conf()")
    try:
        where = cluster.new_database()
        with connect(where) as session:
            session.execute("CREATE TABLE public.t AS SELECT 1 AS id")
        found, back = round_trip(cluster, where)
        assert evidence.differences(back, found) == ()
    finally:
        with connect(cluster.target) as session:
            session.execute("ALTER SYSTEM RESET default_transaction_read_only")
            session.execute("SELECT pg_reload_conf()")


def test_what_an_extension_made_is_in_no_dump(cluster: Cluster) -> None:
    where = cluster.new_database()
    with connect(where) as session:
        session.execute("CREATE EXTENSION citext")
        session.execute("CREATE TABLE public.its (id serial)")
        session.execute("CREATE SEQUENCE public.own")
        session.execute("ALTER EXTENSION citext ADD TABLE public.its")
        session.execute("ALTER EXTENSION citext ADD SEQUENCE public.its_id_seq")
    found, back = round_trip(cluster, where)
    assert [each.sequence for each in found.sequences] == ["own"]
    assert evidence.differences(back, found) == ()
    same_by_script(cluster, back, found)


def test_bytes_that_are_no_utf_8(cluster: Cluster) -> None:
    with connect(cluster.target) as session:
        session.execute("DROP DATABASE IF EXISTS bytes_only")
        session.execute("CREATE DATABASE bytes_only ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    where = cluster.target.with_database("bytes_only")
    psql(
        cluster,
        where,
        "SET client_encoding = SQL_ASCII; CREATE TABLE public.t (id int, word text, many text[], doc jsonb);"
        "INSERT INTO public.t VALUES (1, E'caf\\351', ARRAY[E'\\344', 'x'], '{\"a\": 1}');",
    )
    found, back = round_trip(cluster, where)
    assert found.tables[0].hash not in (None, "0")
    assert evidence.differences(back, found) == ()
    same_by_script(cluster, back, found)


@pytest.fixture(scope="module")
def crowded() -> Iterator[Cluster]:
    """Tables with an index, as many as leave room for the locks of two more who lock each, but not of three.

    As 5,000 tables do on a server with the default settings; here it is quicker.
    """
    settings = {"max_connections": "25", "max_locks_per_transaction": "10", "autovacuum": "off"}
    with private_cluster(settings=settings) as cluster:
        text = [f"CREATE TABLE public.t{number} (id int PRIMARY KEY);" for number in range(170)]
        psql(cluster, cluster.target, "\n".join(text))
        yield cluster


def test_many_tables_need_no_more_locks_than_a_dump(crowded: Cluster) -> None:
    with locked.hold(config.Database(name="registry", dsn=crowded.target.dsn)) as held:
        archive = crowded.dump(crowded.target, held.snapshot)
        found = evidence.gather(held)
        look(held)
    assert archive.stat().st_size > 0
    assert len(found.tables) == 170


def test_too_many_locks_name_the_setting(crowded: Cluster) -> None:
    def look_at_all() -> None:
        with contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(connect(crowded.target)) for _ in range(4)]
            for session in sessions:
                session.execute("BEGIN")
                for number in range(170):
                    name = identifier(f"t{number}")
                    session.rows(compose("SELECT FROM public.{name} WHERE id = 1", name=name))

    with pytest.raises(ToolFailed) as caught:
        look_at_all()
    assert "max_locks_per_transaction" in caught.value.hint


# Standbys


@pytest.fixture(scope="module")
def primary() -> Iterator[Cluster]:
    # Nothing may be vacuumed but what a test vacuums: a standby ends whoever needs what goes.
    settings = {"wal_level": "replica", "max_wal_senders": "4", "autovacuum": "off"}
    with private_cluster(settings=settings) as cluster:
        with connect(cluster.target) as session:
            session.execute("CREATE TABLE public.kept AS SELECT g AS id FROM generate_series(1, 1000) AS g")
            session.execute("CREATE UNLOGGED TABLE public.passing (id int PRIMARY KEY)")
            session.execute("INSERT INTO public.passing VALUES (1)")
        yield cluster


@pytest.fixture(scope="module")
def standby(primary: Cluster) -> Iterator[Cluster]:
    """A hot standby of the primary that lets nothing keep it from replaying."""
    copied = primary.new_directory("base")
    shutil.rmtree(copied)
    words = (primary.programs.program("pg_basebackup"), "-D", str(copied), "-R", "-c", "fast")
    where = ("-h", str(primary.directory), "-U", "postgres")
    execute.check(Command((*words, *where), user=primary.user, directory=primary.directory))

    def prepare(data: Path) -> None:
        shutil.rmtree(data)
        shutil.move(copied, data)

    settings = {"wal_level": "replica", "max_wal_senders": "4", "max_standby_streaming_delay": "0"}
    with private_cluster(settings=settings, prepare=prepare, standby=True) as cluster:
        yield cluster


def test_a_standby_has_nothing_of_unlogged_tables(standby: Cluster, cluster: Cluster) -> None:
    entry = config.Database(name="registry", dsn=standby.target.dsn)
    with locked.hold(entry) as held:
        assert held.empty == (("public", "passing"),)
        found = evidence.gather(held)
        archive = standby.dump(standby.target, held.snapshot)
    assert {table.table: table.rows for table in found.tables} == {"kept": 1000, "passing": 0}
    # On the standby nobody makes a database; the primary takes it back.
    renamed = replace(found, shape=replace(found.shape, database="from_standby"))
    load = clients.here(cluster.programs, {})
    database_restore.bring_back(cluster.target, "from_standby", renamed, archive, "", load)
    back = cluster.target.with_database("from_standby")
    assert evidence.differences(back, found) == ()
    same_by_script(cluster, back, found)


def test_what_a_primary_replays_is_in_the_way_for_a_while(standby: Cluster, primary: Cluster) -> None:

    def read_for_ever() -> None:
        with connect(standby.target) as reading, connect(primary.target) as writing:
            reading.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            assert reading.value("SELECT count(*) FROM public.kept") == 1000
            writing.execute("DELETE FROM public.kept WHERE id > 500")
            writing.execute("VACUUM public.kept")
            while True:
                reading.value("SELECT count(*) FROM public.kept")
                time.sleep(0.05)

    with pytest.raises(DatabaseBusy) as caught:
        read_for_ever()
    assert "hot_standby_feedback" in caught.value.hint


def test_a_dump_that_a_standby_ended_may_be_tried_again() -> None:
    said = "pg_dump: error: Dumping failed: ERROR:  canceling statement due to conflict with recovery"
    assert isinstance(programs.dump_failure(ToolFailed(said)), DatabaseBusy)
    full = programs.dump_failure(ToolFailed("ERROR:  out of shared memory"))
    assert "max_locks_per_transaction" in full.hint
