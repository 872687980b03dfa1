"""What drkit relies on PostgreSQL for, on a real server of the tests' own."""

from __future__ import annotations

import dataclasses
import stat
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from drkit.errors import DatabaseUnreachable, Interrupted, ToolFailed, ToolMissing
from drkit.tools.postgres import programs, sql, targets
from drkit.tools.postgres.sessions import connect
from drkit.tools.postgres.sql import compose, identifier, literal
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute, stopping
from drkit.tools.process.command import Command
from tests.apart import apart
from tests.cluster import LOGIN, Cluster

# A colon and a backslash are special in a password file.
PASSWORD = "p:a\\s's word"


@pytest.fixture
def database(cluster: Cluster) -> Target:
    """An empty database of the test's own."""
    return cluster.new_database()


@pytest.fixture
def filled(database: Target) -> Target:
    """A database with a table of 5,000 rows."""
    with connect(database) as session:
        session.execute("CREATE TABLE public.blob (id int PRIMARY KEY, digest text)")
        session.execute("INSERT INTO public.blob SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n")
    return database


@pytest.fixture(scope="module")
def login(cluster: Cluster) -> Target:
    """A superuser who needs a password; its Target does not hold it."""
    with connect(cluster.target) as session:
        role = {"name": identifier("keeper"), "word": literal(PASSWORD), "group": identifier(LOGIN)}
        session.execute(compose("CREATE ROLE {name} LOGIN SUPERUSER PASSWORD {word} IN ROLE {group}", **role))
    return Target({**cluster.target.settings, "user": "keeper"})


def count(database: Target) -> int:
    with connect(database) as session:
        return int(session.value("SELECT count(*) FROM public.blob"))


# Sessions


def test_every_session_writes_values_alike(database: Target) -> None:
    with connect(database) as session:
        session.execute(
            compose("ALTER DATABASE {name} SET TimeZone = 'Asia/Tokyo'", name=identifier(database.database))
        )
        session.execute(
            compose("ALTER DATABASE {name} SET bytea_output = 'escape'", name=identifier(database.database))
        )
    with connect(database) as session:
        shown = session.row(
            "SELECT '2026-11-24 06:00:00+00'::timestamptz::text, '\\x00ff'::bytea::text,"
            " (1.0::float8 / 3)::text, current_setting('statement_timeout'), current_setting('row_security')"
        )
        assert shown == ("2026-11-24 06:00:00+00", "\\x00ff", "0.3333333333333333", "0", "off")
        assert session.value(
            "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ) == ("drkit")


def test_rows_and_values(filled: Target) -> None:
    with connect(filled) as session:
        assert session.rows("SELECT id FROM public.blob WHERE id <= %s ORDER BY id", [2]) == [(1,), (2,)]
        assert session.row("SELECT 1, 'x'") == (1, "x")
        assert session.value("SELECT count(*) FROM public.blob") == 5000
        assert session.execute("DELETE FROM public.blob WHERE id > 4000") == 1000
        assert session.server_version // 10_000 in programs.installed()
        with pytest.raises(ToolFailed, match="expected one row from PostgreSQL, got 0"):
            session.row("SELECT 1 WHERE false")


def test_a_percent_sign_without_parameters(database: Target) -> None:
    with connect(database) as session:
        assert session.value("SELECT 'x' LIKE '%'") is True


def test_a_stream_of_any_size(filled: Target) -> None:
    with connect(filled, autocommit=False) as session:
        rows = session.stream(compose("SELECT id FROM public.blob ORDER BY id"))
        assert [row[0] for row in rows] == list(range(1, 5001))
        # A second one, after one that was not read to its end.
        assert next(iter(session.stream(compose("SELECT 1")))) == (1,)
        assert list(session.stream(compose("SELECT 2"))) == [(2,)]


def test_what_the_server_says_comes_out(database: Target) -> None:
    with connect(database) as session:
        with pytest.raises(ToolFailed) as caught:
            session.rows("SELECT * FROM nothing")
        assert caught.value.message == 'PostgreSQL: relation "nothing" does not exist'
        with pytest.raises(ToolFailed, match="PostgreSQL: syntax error at or near"):
            session.execute("SELEKT 1")
        assert session.value("SELECT 1") == 1


def test_a_connection_that_is_cut(filled: Target) -> None:
    def ended() -> Iterator[object]:
        with connect(filled, autocommit=False) as session, connect(filled) as other:
            rows = session.stream(compose("SELECT * FROM public.blob"))
            yield next(rows)
            other.execute("SELECT pg_terminate_backend(%s)", [session.value("SELECT pg_backend_pid()")])
            yield from rows

    with pytest.raises(ToolFailed, match="PostgreSQL: "):
        list(ended())


def test_whoever_wants_no_more_does_not_hear_that_the_connection_was_cut(filled: Target) -> None:
    with connect(filled, autocommit=False) as session, connect(filled) as other:
        rows = session.stream(compose("SELECT * FROM public.blob"))
        next(rows)
        other.execute("SELECT pg_terminate_backend(%s)", [session.value("SELECT pg_backend_pid()")])
        assert isinstance(rows, Generator)
        rows.close()
        with pytest.raises(ToolFailed, match="PostgreSQL: "):
            session.value("SELECT 1")


def test_a_long_query_ends_when_drkit_is_interrupted(database: Target) -> None:
    apart(interrupt_a_query, database)


def interrupt_a_query(database: Target) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"

    def interrupt() -> None:
        with connect(database) as other:
            while not other.value(query):
                time.sleep(0.01)
        stopping.stop_all(1.0)

    with connect(database, reads=True) as session, ThreadPoolExecutor(1) as pool:
        interrupting = pool.submit(interrupt)
        with pytest.raises(Interrupted):
            session.rows("SELECT pg_sleep(600)")
        interrupting.result()
        with pytest.raises(Interrupted):
            session.rows("SELECT 1")
    with connect(database) as session:
        assert session.value("SELECT 1") == 1, "what has to be tidied can be"
        assert session.value(query) == 0


def test_a_server_that_has_vanished_is_given_up(cluster: Cluster) -> None:
    """Both by drkit's own sessions and by PostgreSQL's programs; whoever says otherwise is heard."""
    theirs = conninfo_to_dict(cluster.target.dsn)
    assert (theirs["keepalives_idle"], theirs["keepalives_count"]) == ("60", "6")
    assert theirs["tcp_user_timeout"] == "120000", "also where something was sent meanwhile"
    other = Target({**cluster.target.settings, "keepalives_idle": "7200"})
    assert conninfo_to_dict(other.dsn)["keepalives_idle"] == "7200"


def test_changes_that_are_undone(filled: Target) -> None:
    with connect(filled) as session:
        with session.undone():
            assert session.execute("DELETE FROM public.blob") == 5000
        assert session.value("SELECT count(*) FROM public.blob") == 5000
        with pytest.raises(ToolFailed, match="division by zero"), session.undone():
            session.value("WITH gone AS (DELETE FROM public.blob RETURNING 1) SELECT 1 / 0 FROM gone")
        assert session.value("SELECT count(*) FROM public.blob") == 5000


def test_without_autocommit_nothing_stays_unless_committed(filled: Target) -> None:
    with connect(filled, autocommit=False) as session:
        session.execute("DELETE FROM public.blob")
    assert count(filled) == 5000


def test_names_and_values_are_quoted(database: Target) -> None:
    with connect(database) as session:
        name = identifier('we"ird; DROP')
        session.execute(compose("CREATE TABLE public.{name} (x text)", name=name))
        session.execute(
            compose("INSERT INTO public.{name} VALUES ({value})", name=name, value=literal("it's"))
        )
        assert session.value(compose("SELECT x FROM public.{name}", name=name)) == "it's"


def test_keywords_are_letters() -> None:
    assert sql.keyword("CREATE ROLE").as_string() == "CREATE ROLE"
    with pytest.raises(ToolFailed, match="unexpected SQL keyword"):
        sql.keyword("SELECT; DROP")


# Not getting in


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    nobody = Target({"host": str(tmp_path), "dbname": "registry", "user": "postgres"})
    with pytest.raises(DatabaseUnreachable) as caught, connect(nobody):
        pass
    assert caught.value.message.startswith(f"cannot connect to registry at {tmp_path}:5432: ")
    assert "No such file or directory" in caught.value.message or "running" in caught.value.message
    assert caught.value.hint == "see that it runs and that dsn, user and password_file are right"


def test_a_database_that_is_not_there(cluster: Cluster) -> None:
    none = cluster.target.with_database("none")
    with pytest.raises(DatabaseUnreachable, match='database "none" does not exist'), connect(none):
        pass


def test_a_password(login: Target) -> None:
    with connect(dataclasses.replace(login, password=PASSWORD)) as session:
        assert session.value("SELECT current_user") == "keeper"


def test_a_wrong_password(login: Target) -> None:
    with (
        pytest.raises(DatabaseUnreachable) as caught,
        connect(dataclasses.replace(login, password="hunter2")),
    ):
        pass
    assert 'password authentication failed for user "keeper"' in caught.value.message
    assert "hunter2" not in caught.value.message


def test_no_password(login: Target) -> None:
    with pytest.raises(DatabaseUnreachable, match="no password supplied"), connect(login):
        pass


# PostgreSQL's own programs


def test_what_a_program_needs_to_log_in(cluster: Cluster, login: Target, tmp_path: Path) -> None:
    psql = cluster.programs.program("psql")
    arguments = (
        "--no-password",
        "--no-psqlrc",
        "--tuples-only",
        "--no-align",
        "--command=SELECT current_user",
    )
    where = dataclasses.replace(login, password=PASSWORD)
    with targets.password_environment(where, tmp_path) as environment:
        (path,) = tmp_path.iterdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert environment == {"PGPASSFILE": str(path)}
        done = execute.check(Command((psql, *arguments, f"--dbname={where.dsn}"), environment))
        assert done.text == "keeper\n"
    assert list(tmp_path.iterdir()) == []


def test_the_password_file_goes_even_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), targets.password_environment(Target({}, PASSWORD), tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_without_a_password_there_is_no_file(tmp_path: Path) -> None:
    with targets.password_environment(Target({}), tmp_path) as environment:
        assert environment == {}
        assert list(tmp_path.iterdir()) == []


def dumped(cluster: Cluster, database: Target, path: Path) -> Path:
    """A dump of a database as it was when its snapshot was exported."""
    with connect(database, autocommit=False) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        snapshot = session.value("SELECT pg_export_snapshot()")
        with connect(database) as other:
            other.execute("DELETE FROM public.blob WHERE id > 100")
        with path.open("wb") as target:
            done = execute.into_file(programs.dump(cluster.programs, database, snapshot, {}), target)
    assert done.code == 0, done.stderr
    return path


def test_a_dump_holds_what_its_snapshot_saw(cluster: Cluster, filled: Target, tmp_path: Path) -> None:
    archive = dumped(cluster, filled, tmp_path / "dump")
    assert count(filled) == 100
    empty = cluster.new_database()
    execute.check(programs.restore(cluster.programs, empty, archive, 2, {}))
    assert count(empty) == 5000


def test_a_dump_is_not_compressed(cluster: Cluster, filled: Target, tmp_path: Path) -> None:
    """restic compresses, and finds again what has not changed only in plain bytes."""
    archive = dumped(cluster, filled, tmp_path / "dump")
    assert b"c4ca4238a0b923820dcc509a6f75849b" in archive.read_bytes()


def test_a_dump_of_a_snapshot_that_has_gone(cluster: Cluster, filled: Target) -> None:
    command = programs.dump(cluster.programs, filled, "00000003-0000001B-1", {})
    with pytest.raises(ToolFailed, match=r"pg_dump failed with exit code 1: .*snapshot"):
        execute.check(command)


def test_a_restore_over_something_stops(cluster: Cluster, filled: Target, tmp_path: Path) -> None:
    archive = dumped(cluster, filled, tmp_path / "dump")
    with pytest.raises(ToolFailed, match='relation "blob" already exists'):
        execute.check(programs.restore(cluster.programs, filled, archive, 1, {}))


def test_an_archive_is_read_to_its_end(cluster: Cluster, filled: Target, tmp_path: Path) -> None:
    archive = dumped(cluster, filled, tmp_path / "dump").read_bytes()

    def read(data: bytes) -> None:
        command = programs.read_archive(cluster.programs)
        list(execute.lines(command, stdin=[data], ended=programs.raise_if_failed))

    read(archive)
    for cut in (0, 3, len(archive) // 2):
        with pytest.raises(ToolFailed, match="pg_restore failed with exit code 1"):
            read(archive[:cut])


@pytest.mark.parametrize("passwords", [True, False])
def test_roles(cluster: Cluster, login: Target, tmp_path: Path, passwords: bool) -> None:
    where = dataclasses.replace(login, password=PASSWORD)
    with targets.password_environment(where, tmp_path) as environment:
        command = programs.dump_roles(cluster.programs, where, environment, passwords=passwords)
        text = execute.check(command).text
    assert "CREATE ROLE keeper;" in text
    assert ("SCRAM-SHA-256$" in text) is passwords
    assert PASSWORD not in text
    assert "CREATE TABLE" not in text


def test_a_sandbox_needs_the_very_major_version(cluster: Cluster) -> None:
    available = {cluster.programs.major: cluster.programs}
    assert programs.server_programs(cluster.programs.major, available) == cluster.programs
    with pytest.raises(ToolMissing) as caught:
        programs.server_programs(99, available)
    assert caught.value.message == (
        f"PostgreSQL 99 is not installed here (there is: {cluster.programs.major})"
    )
    with pytest.raises(ToolMissing, match=r"there is: none"):
        programs.server_programs(99, {})
