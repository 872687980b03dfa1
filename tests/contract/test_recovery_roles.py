"""Roles come back by awk and psql as they were, whatever they are called; who exists stays as he is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from drkit.database import roles
from drkit.points import recovery
from drkit.tools.postgres import programs
from drkit.tools.postgres.sessions import connect
from drkit.tools.process import execute
from tests import needs
from tests.cluster import Cluster
from tests.unit.points.test_recovery import whole

ODD = (
    "it's",
    'a "quoted" one',
    "semi; DROP ROLE present; --",
    "two\nlines;\nCREATE ROLE evil",
    "back\\slash",
    "\\! touch evil",
    ":variable",
    "UPPER",
    "grün",
    "select",
    "TO",
    "plain_one",
)
COMMENT = "a 'comment' with \"quotes\", a \\ and;\nCREATE ROLE evil;\n\\! touch evil\n-- no"
_ROLES = """
    SELECT rolname, rolcreatedb, rolcanlogin, rolconnlimit, rolpassword, shobj_description(oid, 'pg_authid'),
        (SELECT setconfig FROM pg_db_role_setting WHERE setrole = a.oid AND setdatabase = 0),
        (SELECT array_agg(m ORDER BY m)
         FROM (SELECT roleid::regrole::text AS m FROM pg_auth_members WHERE member = a.oid) AS members)
    FROM pg_authid a WHERE rolname !~ '^pg_' ORDER BY 1"""


@pytest.fixture
def server(cluster: Cluster) -> Iterator[psycopg.Connection]:
    with psycopg.connect(host=str(cluster.directory), user="postgres", autocommit=True) as connection:
        yield connection
        drop(connection)


def drop(connection: psycopg.Connection) -> None:
    for name in (*ODD, "present", "evil"):
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def make(connection: psycopg.Connection) -> None:
    connection.execute("CREATE ROLE present NOLOGIN")
    for number, name in enumerate(ODD):
        role = sql.Identifier(name)
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CONNECTION LIMIT {} PASSWORD {}").format(
                role, number, name
            )
        )
        connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(role, COMMENT))
        connection.execute(sql.SQL("ALTER ROLE {} SET application_name TO {}").format(role, name))
        connection.execute(sql.SQL("GRANT present TO {}").format(role))
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(ODD[0]), sql.Identifier(ODD[3])))


def filtered(directory: Path, awk: str) -> subprocess.CompletedProcess[bytes]:
    """What the script makes of `roles.sql`."""
    functions = recovery.files(whole(), "x")[recovery.SCRIPT].partition("need restic\n")[0]
    shell = ["sh", "-c", f"{functions}\nscratch=$PWD; write_role_filter; scratch=", "recover.sh"]
    subprocess.run(shell, cwd=directory, check=True)
    program, *more = awk.split()
    words = [needs.program(program), *more, "-f", "roles.awk", "roles.sql"]
    return subprocess.run(words, cwd=directory, capture_output=True, check=True)


@pytest.mark.parametrize("awk", ["awk", "busybox awk"])
def test_roles_come_back(cluster: Cluster, server: psycopg.Connection, tmp_path: Path, awk: str) -> None:
    make(server)
    before = server.execute(_ROLES).fetchall()
    assert len(before) > len(ODD)
    dump = programs.dump_roles(cluster.programs, cluster.target, {}, passwords=True)
    (tmp_path / "roles.sql").write_bytes(execute.check(dump).stdout)
    drop(server)
    server.execute("CREATE ROLE present LOGIN PASSWORD 'another'")

    missing = filtered(tmp_path, awk)
    assert missing.stderr == b""
    (tmp_path / "missing.sql").write_bytes(missing.stdout)
    psql = [cluster.programs.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-1", "-f", "missing.sql"]
    where = ["-h", str(cluster.directory), "-U", "postgres", "postgres"]
    done = subprocess.run([*psql, *where], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

    present = [row for row in server.execute(_ROLES).fetchall() if row[0] == "present"]
    assert present[0][2] is True, "who was there keeps what he had"
    others = [row for row in server.execute(_ROLES).fetchall() if row[0] != "present"]
    assert others == [row for row in before if row[0] != "present"]
    assert not (tmp_path / "evil").exists()


def test_roles_come_back_in_a_restore(cluster: Cluster, server: psycopg.Connection) -> None:
    make(server)
    before = server.execute(_ROLES).fetchall()
    dump = programs.dump_roles(cluster.programs, cluster.target, {}, passwords=True)
    text = execute.check(dump).stdout.decode()
    drop(server)
    server.execute("CREATE ROLE present NOLOGIN")
    with connect(cluster.target) as session:
        made = roles.make(session, text)
    assert (made.made, made.without_password, made.left_out) == (tuple(sorted(ODD)), (), ())
    assert server.execute(_ROLES).fetchall() == before


@pytest.mark.parametrize("awk", ["awk", "busybox awk"])
def test_no_role_gets_power_over_the_server(
    cluster: Cluster, server: psycopg.Connection, tmp_path: Path, awk: str
) -> None:
    server.execute("CREATE ROLE evil SUPERUSER CREATEROLE LOGIN")
    server.execute("GRANT pg_execute_server_program TO evil")
    dump = programs.dump_roles(cluster.programs, cluster.target, {}, passwords=True)
    (tmp_path / "roles.sql").write_bytes(execute.check(dump).stdout)
    server.execute("DROP ROLE evil")
    missing = filtered(tmp_path, awk)
    assert b"CREATE ROLE evil;" in missing.stdout
    assert b" SUPERUSER " not in missing.stdout.partition(b"ALTER ROLE evil")[2].partition(b";")[0]
    assert b"GRANT pg_execute_server_program" not in missing.stdout
    (tmp_path / "missing.sql").write_bytes(missing.stdout)
    psql = [cluster.programs.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-1", "-f", "missing.sql"]
    where = ["-h", str(cluster.directory), "-U", "postgres", "postgres"]
    done = subprocess.run([*psql, *where], cwd=tmp_path, capture_output=True, text=True, check=True)
    # Not of postgres, who is a superuser and was there.
    assert done.stderr.count("does not get back") == 2
    (mighty,) = server.execute(
        "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = 'evil'"
    ).fetchall()
    assert mighty == (False,)
