"""Holding a database still, while others lock, change, make and drop its tables."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from drkit import config
from drkit.database import evidence, locked
from drkit.errors import DatabaseBusy, SourceChanged, ToolFailed
from drkit.model import TableEvidence
from drkit.tools.postgres import programs, sql
from drkit.tools.postgres.sessions import Session, connect
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute
from tests.cluster import Cluster

BRIEFLY = "200ms"


@pytest.fixture
def where(cluster: Cluster) -> Target:
    """A database with three tables."""
    made = cluster.new_database()
    with connect(made) as session:
        for name in ("blob", "tag", "artifact"):
            table = sql.identifier("public", name)
            session.execute(sql.compose("CREATE TABLE {t} AS SELECT 1 AS id", t=table))
    return made


def settings(where: Target, seconds: int = 5) -> config.Database:
    values = {"name": "registry", "dsn": where.dsn, "lock_wait": f"{seconds}s"}
    return config.Database.model_validate(values)


@contextlib.contextmanager
def migration(where: Target) -> Iterator[Session]:
    """A transaction that has `public.tag` for itself alone."""
    with connect(where, autocommit=False) as session:
        session.execute("ALTER TABLE public.tag ADD COLUMN more int")
        yield session


@contextlib.contextmanager
def waiting_migration(where: Target, table: str = "tag") -> Iterator[None]:
    """Somebody who wants to change a table, and waits for whoever reads it; done when they are gone."""
    name = sql.identifier("public", table)

    def change() -> None:
        with connect(where) as session:
            session.execute(sql.compose("ALTER TABLE {t} ADD COLUMN late int", t=name))

    thread = threading.Thread(target=change)
    thread.start()
    with connect(where) as session:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
        while not session.value(query):
            time.sleep(0.01)
    try:
        yield
    finally:
        thread.join()


def test_a_held_database_is_seen_as_it_was(where: Target) -> None:
    with locked.hold(settings(where)) as held, connect(where) as other:
        assert sorted(held.tables) == [("public", "artifact"), ("public", "blob"), ("public", "tag")]
        other.execute("INSERT INTO public.blob VALUES (2)")
        other.execute("CREATE TABLE public.later (id int)")
        with locked.shared_session(held) as session:
            assert session.value("SELECT count(*) FROM public.blob") == 1
            assert locked.list_tables(session) == held.tables
        with pytest.raises(DatabaseBusy):
            other.execute("SET lock_timeout = '100ms'; DROP TABLE public.tag")


def test_a_table_that_somebody_holds_for_long(where: Target) -> None:
    with migration(where) as busy:
        pid = busy.value("SELECT pg_backend_pid()")
        with pytest.raises(DatabaseBusy) as caught, locked.hold(settings(where, 1)):
            pass
    assert caught.value.message == (
        f"the tables of {where.where} could not be held still for 0:00:01: "
        f"public.tag is held by process {pid} (drkit, user postgres)"
    )
    assert "a migration or VACUUM FULL is under way" in caught.value.hint


def test_a_table_that_is_let_go_in_time(where: Target) -> None:
    got: list[tuple[str, str]] = []

    def hold() -> None:
        with locked.hold(settings(where, 30)) as held, locked.shared_session(held) as session:
            got.extend(held.tables)
            session.rows("SELECT more FROM public.tag")

    with migration(where) as busy:
        thread = threading.Thread(target=hold)
        thread.start()
        time.sleep(0.5)
        busy.execute("COMMIT")
        thread.join()
    assert ("public", "tag") in got, "held after the migration, with its column"


def test_whoever_waits_for_us_gets_his_turn(where: Target) -> None:
    """Between two tries everything is let go: production is never held up for as long as we wait."""
    done = threading.Event()

    def change_another_table() -> None:
        with connect(where) as session:
            session.execute("ALTER TABLE public.blob ADD COLUMN urgent int")
        done.set()

    with migration(where):
        thread = threading.Thread(target=change_another_table)
        thread.start()
        with pytest.raises(DatabaseBusy), locked.hold(settings(where, 3)):
            pass
        assert done.wait(60)
        thread.join()


def test_tables_made_and_dropped_without_pause(where: Target) -> None:
    stop = threading.Event()

    def churn() -> None:
        with connect(where) as session:
            while not stop.is_set():
                session.execute("CREATE TABLE public.passing AS SELECT 1 AS id")
                session.execute("DROP TABLE public.passing")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        held_still = 0
        while held_still < 3:
            # Whoever drops a table that is held is in the way of other sessions, which say so.
            with (
                contextlib.suppress(DatabaseBusy),
                locked.hold(settings(where, 60)) as held,
                locked.shared_session(held, BRIEFLY) as session,
            ):
                assert locked.list_tables(session) == held.tables
                for name in held.tables:
                    assert evidence.hash_table(session, *name).rows == 1
                held_still += 1
    finally:
        stop.set()
        thread.join()


def test_evidence_does_not_wait_behind_somebody_who_waits_for_it(where: Target) -> None:
    """The change waits for the held session, evidence would wait for the change: nobody would ever move."""

    def hashed() -> TableEvidence:
        with (
            locked.hold(settings(where)) as held,
            waiting(held),
            locked.shared_session(held, BRIEFLY) as session,
        ):
            return evidence.hash_table(session, "public", "blob")

    stack = contextlib.ExitStack()

    def waiting(_held: locked.LockedDatabase) -> contextlib.AbstractContextManager[None]:
        # Closed by us after the database is let go, since the change ends only then.
        stack.enter_context(waiting_migration(where, "blob"))
        return contextlib.nullcontext()

    with stack, pytest.raises(DatabaseBusy, match="lock timeout"):
        hashed()


def test_the_dump_does_not_either(where: Target, cluster: Cluster) -> None:
    with contextlib.ExitStack() as stack, locked.hold(settings(where)) as held:
        stack.enter_context(waiting_migration(where))
        command = programs.dump(cluster.programs, where, held.snapshot, {}, lock_timeout=BRIEFLY)
        with pytest.raises(ToolFailed) as caught:
            execute.check(command)
        held.session.execute("ROLLBACK")
    assert isinstance(programs.dump_failure(caught.value), DatabaseBusy)


def test_other_failures_of_a_dump_stay_what_they_are(where: Target, cluster: Cluster) -> None:
    with pytest.raises(ToolFailed) as caught:
        execute.check(programs.dump(cluster.programs, where, "00000003-0000001B-1", {}))
    assert type(programs.dump_failure(caught.value)) is ToolFailed


def test_what_a_dump_says_of_something_that_vanished() -> None:
    said = 'pg_dump did not finish: pg_dump: error: query failed: ERROR:  relation "x" does not exist'
    assert isinstance(programs.dump_failure(ToolFailed(said)), SourceChanged)


def test_a_table_that_may_not_be_read(where: Target) -> None:
    with connect(where) as session:
        session.execute("CREATE ROLE reader LOGIN")
    target = Target({**where.settings, "user": "reader"})
    with pytest.raises(ToolFailed) as caught, locked.hold(settings(target, 60)):
        pass
    assert "permission denied for table" in caught.value.message
    assert "allowed to read every table" in caught.value.hint
