"""Which statements of a roles dump are run, and what is made of them."""

from __future__ import annotations

import pytest

from drkit.database import roles
from drkit.database.roles import RolesMade

_DUMP = """\
--
-- PostgreSQL database cluster dump
--
\\restrict abc
SET default_transaction_read_only = off;
CREATE ROLE harbor;
ALTER ROLE harbor WITH {no} NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'md5x';
CREATE ROLE "odd ""one";
ALTER ROLE "odd ""one" WITH {no} CREATEDB LOGIN NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 5;
ALTER ROLE "odd ""one" SET search_path TO 'public', 'x';
COMMENT ON ROLE "odd ""one" IS 'it''s';
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;
GRANT harbor TO "odd ""one" WITH ADMIN OPTION, INHERIT FALSE GRANTED BY postgres;
""".replace("{no}", "NOSUPERUSER INHERIT NOCREATEROLE")


def test_what_pg_dumpall_writes_is_taken() -> None:
    found = roles.parse(_DUMP)
    assert [statement.role for statement in found] == [
        *["harbor"] * 2, *['odd "one'] * 4, *["postgres"] * 2, 'odd "one',
    ]  # fmt: skip
    assert [statement.password for statement in found[:2]] == [False, True]
    assert found[-1].sql == 'GRANT harbor TO "odd ""one" WITH ADMIN OPTION, INHERIT FALSE'
    assert found[7].powers == ("SUPERUSER", "CREATEROLE")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE harbor WITH PASSWORD 'x' SUPERUSER;",
        "ALTER ROLE harbor RENAME TO postgres;",
        "COPY x TO PROGRAM 'id';",
        "CREATE ROLE harbor SUPERUSER;",
        "DO $$ BEGIN END $$;",
        "COMMENT ON ROLE harbor IS 'x' || (SELECT 'y');",
        "ALTER ROLE harbor SET x TO (SELECT 1);",
        "GRANT ALL ON DATABASE x TO harbor;",
        "ALTER ROLE harbor IN DATABASE registry SET x TO 'y';",
        "SET ROLE postgres;",
    ],
)
def test_nothing_else_is(statement: str) -> None:
    assert [found.sql for found in roles.parse(statement)] == []


def test_two_statements_never_pass_as_one() -> None:
    text = "COMMENT ON ROLE a IS 'x'; ALTER ROLE postgres WITH SUPERUSER;"
    assert not [found for found in roles.parse(text) if found.role == "a" and "SUPERUSER" in found.sql]


def test_roles_that_exist_are_left_alone_and_nobody_gets_powers() -> None:
    granted = ("pg_execute_server_program", "pg_monitor", "root")
    text = _DUMP + "".join(f"GRANT {role} TO harbor;\n" for role in granted)
    wanted, made = roles.plan(roles.parse(text), {"root", "pg_monitor"}, {"root"})
    assert made == RolesMade(
        ("harbor", 'odd "one', "postgres"),
        ('odd "one', "postgres"),
        ("postgres: SUPERUSER, CREATEROLE", "harbor: pg_execute_server_program", "harbor: root"),
    )
    given = [statement.sql for statement in wanted if statement.role == "postgres"]
    assert given == [
        "CREATE ROLE postgres;",
        "ALTER ROLE postgres WITH NOSUPERUSER INHERIT NOCREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;",
    ]
    assert [statement.sql for statement in wanted if statement.granted] == [
        'GRANT harbor TO "odd ""one" WITH ADMIN OPTION, INHERIT FALSE', "GRANT pg_monitor TO harbor",
    ]  # fmt: skip
    wanted, made = roles.plan(roles.parse(_DUMP), {"postgres"}, set())
    assert "postgres" not in {statement.role for statement in wanted}
    assert made.left_out == ()


def test_a_sandbox_gives_them_as_they_were() -> None:
    wanted, made = roles.plan(roles.parse(_DUMP), set(), set(), powers=True)
    assert [statement.powers for statement in wanted if statement.powers] == [("SUPERUSER", "CREATEROLE")]
    assert made.left_out == ()
