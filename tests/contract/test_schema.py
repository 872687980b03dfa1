"""golang-migrate's table on a real server: what Harbor's core would not start on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drkit.checks import schema as checks
from drkit.harbor import schema, tables, torn, wording
from drkit.harbor.relations import RELATIONS
from drkit.model import DatabaseEvidence, DatabaseShape, Outcome, SchemaFault, Unplanted
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target
from tests.cluster import Cluster
from tests.contract.test_harbor_tables import target  # noqa: F401 - the fixture with Harbor's tables

QUOTA = next(relation for relation in RELATIONS if relation.name == "projects to quota")


@pytest.fixture
def session(target: Target) -> Iterator[Session]:  # noqa: F811
    with sessions.connect(target) as made, made.undone():
        made.execute("DELETE FROM public.schema_migrations")
        made.execute("INSERT INTO public.schema_migrations (version, dirty) VALUES (190, false)")
        yield made


def test_a_schema_that_core_starts_on(session: Session) -> None:
    assert schema.look(session) is None


@pytest.mark.parametrize(
    ("accident", "fault"),
    [
        ("UPDATE public.schema_migrations SET dirty = true", SchemaFault.DIRTY),
        ("DELETE FROM public.schema_migrations", SchemaFault.EMPTY),
        ("DROP TABLE public.schema_migrations", SchemaFault.MISSING),
        ("UPDATE public.schema_migrations SET version = 200", SchemaFault.UNKNOWN),
        ("UPDATE public.schema_migrations SET version = 200, dirty = true", SchemaFault.DIRTY),
    ],
)
def test_a_schema_that_it_does_not(session: Session, accident: str, fault: SchemaFault) -> None:
    session.execute(sql.trusted(accident))
    assert schema.look(session) is fault
    assert wording.schema_fault(fault, tables.schema_version(session))


def test_of_another_application_only_a_broken_off_migration_is_told(session: Session) -> None:
    session.execute("DROP TABLE public.artifact CASCADE")
    session.execute("UPDATE public.schema_migrations SET version = 3")
    assert schema.look(session) is None
    session.execute("UPDATE public.schema_migrations SET dirty = true")
    assert schema.look(session) is SchemaFault.DIRTY
    session.execute("DROP TABLE public.schema_migrations")
    assert schema.look(session) is None
    session.execute("CREATE TABLE public.schema_migrations (version text)")
    assert schema.look(session) is None


def test_the_control_is_caught_and_leaves_nothing(cluster: Cluster) -> None:
    made = cluster.new_database()
    with sessions.connect(made) as own:
        for statement in (
            "CREATE TABLE public.artifact (id int)",
            "CREATE TABLE public.blob (id int)",
            "CREATE TABLE public.schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)",
            "INSERT INTO public.schema_migrations VALUES (190, false)",
        ):
            own.execute(sql.trusted(statement))
    shape = DatabaseShape("registry", "postgres", "UTF8", "libc", "C", "C")
    evidence = DatabaseEvidence("registry", shape, 150_012, {}, ())
    (control,) = checks.controls(made, evidence)
    assert not isinstance(control, Unplanted)
    assert control.run().caught
    (check,) = checks.checks(made, evidence)
    assert (check.run().outcome, check.run().detail) == (Outcome.PASSED, "Harbor 2.16 (schema 190)")
    with sessions.connect(made) as own:
        own.execute("UPDATE public.schema_migrations SET version = 200")
    assert check.run().outcome is Outcome.ERROR


def test_a_project_without_quota_is_torn_where_quotas_are_on(session: Session) -> None:
    def found() -> tuple[int, int]:
        measured = torn.measure(session, QUOTA)
        return measured.rows, measured.torn

    session.execute(
        "INSERT INTO public.quota (reference, reference_id, hard) VALUES"
        " ('project', '1', '{}'), ('project', '2', '{}'), ('project', '3', '{}'), ('other', '4', '{}')"
    )
    assert found() == (3, 0)
    session.execute("DELETE FROM public.quota WHERE reference_id = '3'")
    assert found() == (3, 1), "a proxy cache has one too"
    session.execute("UPDATE public.project SET deleted = true WHERE project_id = 3")
    assert found() == (2, 0)
    session.execute("DELETE FROM public.quota")
    session.execute("INSERT INTO public.properties (k, v) VALUES ('quota_per_project_enable', 'true')")
    assert found() == (2, 2)
    session.execute("UPDATE public.properties SET v = 'false' WHERE k = 'quota_per_project_enable'")
    assert found() == (0, 0)
