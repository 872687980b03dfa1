"""What a restore needs of a server is known beforehand, and what it then does there, on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drkit import config
from drkit.actions.restore import server as restore_server
from drkit.database import clients, evidence, locked, restore_needs
from drkit.database import load as database_restore
from drkit.errors import TargetUnfit, ToolFailed
from drkit.model import DatabaseEvidence, RestoreNeeds
from drkit.tools.postgres.sessions import connect
from drkit.tools.postgres.sql import compose, identifier
from drkit.tools.postgres.targets import Target
from tests.cluster import Cluster

_ROLES = ("owner_needs", "reader_needs", "plain_needs", "maker_needs", "stranger_needs")


@dataclass(frozen=True)
class Dumped:
    """A database of an ordinary owner, and its dump."""

    evidence: DatabaseEvidence
    archive: Path


def as_user(target: Target, user: str) -> Target:
    return Target({**target.settings, "user": user})


def held(cluster: Cluster, where: Target) -> Dumped:
    with locked.hold(config.Database(name="registry", dsn=where.dsn)) as one:
        return Dumped(evidence.gather(one), cluster.dump(where, one.snapshot))


@pytest.fixture(scope="module")
def dumped(cluster: Cluster) -> Dumped:
    """Owned by owner_needs, read by reader_needs; maker_needs is a member of both and may make databases."""
    where = cluster.new_database()
    with connect(where) as session:
        for role in _ROLES:
            session.execute(compose("CREATE ROLE {role} LOGIN", role=identifier(role)))
        session.execute("ALTER ROLE maker_needs CREATEDB; GRANT owner_needs, reader_needs TO maker_needs")
        name = identifier(where.database)
        session.execute(compose("ALTER DATABASE {name} OWNER TO owner_needs", name=name))
    with connect(as_user(where, "owner_needs")) as session:
        session.execute(
            "CREATE TABLE public.t AS SELECT g AS id, md5(g::text) AS word FROM generate_series(1, 9) g"
        )
        session.execute("GRANT SELECT ON public.t TO reader_needs")
        session.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader_needs")
    return held(cluster, where)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """A database that is not there, and is gone afterwards."""
    yield "come_back"
    with connect(cluster.target) as session:
        session.execute("DROP DATABASE IF EXISTS come_back WITH (FORCE)")


def lacking(cluster: Cluster, user: str, wanted: DatabaseEvidence, *, creates: bool = True) -> list[str]:
    with connect(as_user(cluster.target, user)) as session:
        return [lack.said for lack in restore_needs.lacking(session, wanted, creates=creates)]


def test_what_a_database_needs_is_read(dumped: Dumped, cluster: Cluster) -> None:
    assert dumped.evidence.needs == RestoreNeeds(("owner_needs",), ("reader_needs",), ())
    where = cluster.new_database()
    with connect(where) as session:
        session.execute("CREATE TABLE public.t (id int)")
        session.execute("CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
        session.execute("CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.f()")
        session.execute("CREATE FUNCTION public.c(int) RETURNS int LANGUAGE internal AS 'int4abs'")
        found = restore_needs.read(session)
    assert found.owners == ("postgres",)
    assert found.superuser == ("event trigger watch", "function c in language internal")


def test_who_may_do_everything_lacks_nothing(dumped: Dumped, cluster: Cluster) -> None:
    assert lacking(cluster, "postgres", dumped.evidence) == []
    assert lacking(cluster, "maker_needs", dumped.evidence) == []


def test_what_an_ordinary_user_lacks_is_named(dumped: Dumped, cluster: Cluster) -> None:
    assert lacking(cluster, "owner_needs", dumped.evidence) == [
        "the user owner_needs may not create databases"
    ]
    needs = RestoreNeeds(("owner_needs", "gone_one"), ("gone_two",), ("event trigger watch",))
    more = replace(dumped.evidence, needs=needs, extensions={"plpgsql": "1.0", "no_such": "1"})
    assert lacking(cluster, "plain_needs", more) == [
        "the user plain_needs may not create databases",
        "there is no role gone_one, which owns what is restored",
        "there is no role gone_two, and the user plain_needs may not create roles",
        "the user plain_needs is no member of the role owner_needs, which owns what is restored",
        "only a superuser may make the event trigger watch",
        "the server does not have the extension no_such",
    ]
    assert lacking(cluster, "postgres", more) == ["the server does not have the extension no_such"]


def test_doctor_asks_the_server_of_the_backup(dumped: Dumped, cluster: Cluster) -> None:
    where = cluster.target.with_database(dumped.evidence.shape.database)
    with connect(as_user(where, "owner_needs")) as session:
        said = [lack.said for lack in restore_needs.lacking_here(session)]
    assert said == ["the user owner_needs may not create databases"]
    with connect(where) as session:
        assert restore_needs.lacking_here(session) == ()


def test_a_locale_that_the_server_lacks_is_found(dumped: Dumped, cluster: Cluster) -> None:
    shape = dumped.evidence.shape
    with connect(cluster.target) as session:
        assert restore_needs.locale_fault(session, shape) == ""
        elsewhere = replace(shape, collate="xx_XX.UTF-8", ctype="xx_XX.UTF-8")
        assert "xx_XX.UTF-8" in restore_needs.locale_fault(session, elsewhere)
        icu = replace(shape, locale_provider="icu", locale="en", collate="C", ctype="C")
        assert restore_needs.locale_fault(session, icu) == ""
        assert session.value("SELECT count(*) FROM pg_collation WHERE collname = 'drkit_trial'") == 0


def test_the_plan_refuses_what_would_fail_and_says_what_helps(
    dumped: Dumped, cluster: Cluster, name: str
) -> None:
    target = as_user(cluster.target.with_database(name), "owner_needs")
    server = restore_server.look(target, dumped.evidence, "")
    assert (server.present, server.in_place) == ("", False)
    with pytest.raises(TargetUnfit) as caught:
        restore_server.refuse(server, target, dumped.evidence)
    assert "the user owner_needs may not create databases" in caught.value.message
    assert "ALTER ROLE owner_needs CREATEDB" in caught.value.hint
    assert f'CREATE DATABASE "{name}" TEMPLATE template0 OWNER "owner_needs"' in caught.value.hint


def restored(cluster: Cluster, target: Target, dumped: Dumped) -> None:
    load = clients.here(cluster.programs, {})
    database_restore.fill(target, dumped.evidence, dumped.archive, "", load)
    assert evidence.differences(target, dumped.evidence) == ()


@pytest.mark.parametrize("user", ["owner_needs", "stranger_needs"])
def test_an_empty_database_that_somebody_made_is_filled(
    dumped: Dumped, cluster: Cluster, name: str, user: str
) -> None:
    with connect(cluster.target) as session:
        session.execute(compose("CREATE DATABASE come_back OWNER {owner}", owner=identifier(user)))
    target = as_user(cluster.target.with_database(name), user)
    server = restore_server.look(target, dumped.evidence, "")
    assert (server.in_place, server.lacking) == (True, ())
    # Who can make one puts it in that one's place.
    others = ["postgres", *(["maker_needs"] if user == "owner_needs" else [])]
    for other in others:
        found = restore_server.look(as_user(target, other), dumped.evidence, "")
        assert (found.in_place, found.lacking) == (False, ())
    restored(cluster, target, dumped)
    with connect(cluster.target.with_database(name)) as session:
        owner = session.value("SELECT relowner::regrole::text FROM pg_class WHERE relname = 't'")
    assert owner == (user if user == "stranger_needs" else "owner_needs")
    told = any("will belong to stranger_needs" in remark for remark in server.remarks)
    assert told is (user == "stranger_needs")


def test_a_load_that_fails_leaves_the_empty_database_empty(
    dumped: Dumped, cluster: Cluster, name: str, tmp_path: Path
) -> None:
    with connect(cluster.target) as session:
        session.execute("CREATE DATABASE come_back OWNER owner_needs")
    cut = tmp_path / "cut"
    cut.write_bytes(dumped.archive.read_bytes()[:-200])
    target = as_user(cluster.target.with_database(name), "owner_needs")
    with pytest.raises(ToolFailed):
        restored(cluster, target, replace(dumped, archive=cut))
    with connect(target) as session:
        assert session.value("SELECT to_regclass('public.t') IS NULL") is True


def test_the_dumps_sql_runs_as_the_owner_and_not_as_the_superuser(
    dumped: Dumped, cluster: Cluster, name: str
) -> None:
    """What an index's expression or a constraint's function does while the dump is loaded has no power."""
    where = cluster.new_database()
    with connect(where) as session:
        session.execute(
            compose("ALTER DATABASE {name} OWNER TO owner_needs", name=identifier(where.database))
        )
    with connect(as_user(where, "owner_needs")) as session:
        session.execute("CREATE TABLE public.who (id int, word text)")
        session.execute(
            "CREATE FUNCTION public.spy(text) RETURNS text IMMUTABLE LANGUAGE sql AS"
            " $$ SELECT (current_setting('is_superuser') || current_user)::text $$"
        )
        session.execute("ALTER TABLE public.who ADD CHECK (public.spy(word) = 'offowner_needs')")
        session.execute("INSERT INTO public.who VALUES (1, 'x')")
    found = held(cluster, where)
    with connect(cluster.target) as session:
        assert restore_needs.loader(session, found.evidence) == "owner_needs"
        mighty = replace(found.evidence, needs=RestoreNeeds(("postgres",)))
        assert restore_needs.loader(session, mighty) is None
    # The constraint would refuse the row of anybody else.
    load = clients.here(cluster.programs, {})
    database_restore.bring_back(cluster.target, name, found.evidence, found.archive, "", load)
    assert evidence.differences(cluster.target.with_database(name), found.evidence) == ()


def test_who_is_connected_is_told(dumped: Dumped, cluster: Cluster, name: str) -> None:
    with connect(cluster.target) as session:
        session.execute("CREATE DATABASE come_back")
    target = cluster.target.with_database(name)
    with connect(target) as one, connect(as_user(target, "plain_needs")), connect(target):
        one.execute("CREATE TABLE public.precious (id int)")
        server = restore_server.look(target, dumped.evidence, "")
    assert [who.said for who in server.connected] == [
        "drkit (user plain_needs)", "drkit (user postgres, 2 sessions)",
    ]  # fmt: skip
    assert all(who.endable for who in server.connected)
