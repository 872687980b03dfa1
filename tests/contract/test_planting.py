"""Accounts that a drill plants: on Harbor's tables, and let in by what lets in as Harbor does."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

import testenv
from drkit.harbor import planting, secretkey
from drkit.harbor.planting import Account
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sessions import Session
from testenv import standin_core
from tests.cluster import Cluster

KEY = b"naa4JtarA1Zsc3uY"
MARK = "drkit-0123abcd"


@pytest.fixture
def session(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on Harbor's tables with an administrator; the stand-in for core reads them as well."""
    made = cluster.new_database()
    for name, value in {
        "HOST": made.settings["host"],
        "PORT": made.settings.get("port", "5432"),
        "USERNAME": made.settings["user"],
        "PASSWORD": "unused",
        "DATABASE": made.database,
    }.items():
        monkeypatch.setenv(f"POSTGRESQL_{name}", value)
    with sessions.connect(made) as found:
        found.execute("SET search_path = public")
        found.execute(sql.trusted(Path(testenv.__file__).with_name("schema.sql").read_text()))
        found.execute("DELETE FROM public.harbor_user")
        found.execute(
            "INSERT INTO public.harbor_user (user_id, username, password, realname, salt)"
            " VALUES (1, 'admin', 'x', '', 'y')"
        )
        found.execute("SELECT setval('public.harbor_user_user_id_seq', 1)")
        yield found


def who(account: Account, prefix: str = "") -> standin_core.Who:
    login = f"{prefix}{account.name}:{account.password}".encode()
    return standin_core.Who(f"Basic {base64.b64encode(login).decode()}")


def test_a_user_of_its_own(session: Session) -> None:
    planted = planting.plant(session, MARK, KEY)
    assert planted.user.name == MARK
    assert (who(planted.user).name, who(planted.user).administrator) == (MARK, True)
    assert session.value("SELECT password FROM public.harbor_user WHERE user_id = 1") == "x"


def test_the_first_user_where_others_come_from_elsewhere(session: Session) -> None:
    session.execute("INSERT INTO public.properties (k, v) VALUES ('auth_mode', 'ldap_auth')")
    planted = planting.plant(session, MARK, KEY)
    assert planted.user.name == "admin"
    assert who(planted.user).administrator
    assert session.value("SELECT count(*) FROM public.harbor_user") == 1


def test_a_robot_that_may_pull(session: Session) -> None:
    """Also where the permission is there already, as of another robot."""
    for mark in (MARK, f"{MARK}2"):
        robot = planting.plant(session, mark, KEY).robot
        assert who(robot, "robot$").actions == {"pull"}
    assert who(Account(robot.name, "another"), "robot$").name == ""
    assert session.value("SELECT count(*) FROM public.permission_policy") == 1


def test_a_secret_that_the_key_opens(session: Session) -> None:
    remote = planting.plant(session, MARK, KEY).remote
    assert remote is not None
    query = "SELECT access_key, access_secret FROM public.registry WHERE id = %s"
    name, value = session.row(query, (remote.id,))
    assert name == remote.access_key
    assert secretkey.decrypt(value, KEY).startswith(b"Aa1")
    assert planting.plant(session, f"{MARK}2", KEY[:-1]).remote is None


def test_what_can_be_pulled(session: Session) -> None:
    """Nothing of a proxy cache, of a deleted project, or of one that refuses what is vulnerable."""
    session.execute(
        "INSERT INTO public.project (project_id, owner_id, name, registry_id, deleted) VALUES"
        " (11, 1, 'open', NULL, false), (12, 1, 'proxy', 7, false), (13, 1, 'gone', 0, true),"
        " (14, 1, 'guarded', 0, false)"
    )
    session.execute(
        "INSERT INTO public.project_metadata (project_id, name, value)"
        " VALUES (11, 'prevent_vul', 'false'), (14, 'prevent_vul', 'true')"
    )
    for number, size in ((11, 5), (12, 1), (13, 1), (14, 1)):
        session.execute(
            "INSERT INTO public.repository (repository_id, name, project_id) SELECT %s, name || '/app', %s"
            " FROM public.project WHERE project_id = %s",
            (number, number, number),
        )
        session.execute(
            "INSERT INTO public.artifact (id, project_id, repository_name, digest, type, repository_id,"
            " media_type, manifest_media_type, size, artifact_type)"
            " VALUES (%s, %s, 'x', 'sha256:a', 'IMAGE', %s, '', '', %s, '')",
            (number, number, number, size),
        )
        session.execute(
            "INSERT INTO public.tag (repository_id, artifact_id, name) VALUES (%s, %s, '1')", (number, number)
        )
    assert [image.repository for image in planting.pullable(session)] == ["open/app"]
