"""Connection strings, and which of PostgreSQL's programs to use."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from drkit.errors import ConfigError, ToolMissing, ToolTooOld
from drkit.logs import redact
from drkit.tools.postgres import programs as postgres_programs
from drkit.tools.postgres import targets
from drkit.tools.postgres.programs import Programs
from drkit.tools.postgres.targets import Target

PASSWORD = "p:a\\s's word"


def test_a_target(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    found = targets.target("host=db port=5433 user=postgres dbname=registry", tmp_path / "password")
    assert found == Target({"host": "db", "port": "5433", "user": "postgres", "dbname": "registry"}, PASSWORD)
    assert found.where == "registry at db:5433"
    assert found.database == "registry"
    assert found.with_database("other").where == "other at db:5433"
    assert PASSWORD not in found.dsn
    assert redact(f"it is {PASSWORD}") == "it is ***"
    assert targets.target("postgresql://postgres@db:5433/registry", None) == dataclasses.replace(
        found, password=None
    )


def test_a_target_with_little_in_it() -> None:
    assert targets.target("user=postgres", None).where == "postgres at the local socket:5432"


@pytest.mark.parametrize(
    ("dsn", "sentence"),
    [
        ("host", 'not a connection string: missing "=" after "host" in connection info string'),
        ("colour=red", 'not a connection string: invalid connection option "colour"'),
        ("host=db password=hunter2", "a connection string must not hold a password"),
        ("postgresql://u:hunter2@db/x", "a connection string must not hold a password"),
    ],
)
def test_what_is_no_target(dsn: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        targets.target(dsn, None)
    assert caught.value.message == sentence
    assert caught.value.hint


def test_a_password_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot read the password file {tmp_path}/none: "):
        targets.target("host=db", tmp_path / "none")


def programs(*majors: int) -> dict[int, Programs]:
    return {major: Programs(major, Path(f"/usr/lib/postgresql/{major}/bin")) for major in majors}


@pytest.mark.parametrize(
    ("server", "installed", "chosen"),
    [(15, (13, 15, 18), 15), (16, (13, 15, 18), 18), (12, (13, 15), 13), (15, (15,), 15)],
)
def test_a_dump_is_never_made_by_older_programs(server: int, installed: tuple[int, ...], chosen: int) -> None:
    for order in itertools.permutations(installed):
        assert postgres_programs.dump_programs(server, programs(*order)).major == chosen


@pytest.mark.parametrize(
    ("archive", "server", "installed", "chosen"),
    [(15, 15, (13, 15, 18), 15), (13, 15, (13, 17), 13), (13, 17, (13, 15), 15), (15, 18, (15, 16, 18), 18)],
)
def test_a_dump_is_restored_by_programs_between_it_and_the_server(
    archive: int, server: int, installed: tuple[int, ...], chosen: int
) -> None:
    for order in itertools.permutations(installed):
        assert postgres_programs.restore_programs(archive, server, programs(*order)).major == chosen


def test_a_dump_never_goes_to_an_older_server() -> None:
    with pytest.raises(ToolTooOld) as caught:
        postgres_programs.restore_programs(17, 15, programs(15, 17))
    assert caught.value.message == "the server is PostgreSQL 15, the dump is of PostgreSQL 17"


@pytest.mark.parametrize("installed", [(13,), (17,), ()])
def test_a_dump_is_not_restored_by_programs_that_do_not_fit(installed: tuple[int, ...]) -> None:
    with pytest.raises(ToolMissing) as caught:
        postgres_programs.restore_programs(15, 16, programs(*installed))
    have = str(*installed) or "none"
    assert caught.value.message == (
        f"restoring a dump of PostgreSQL 15 to a server of 16 needs pg_restore of 15 to 16 (there is: {have})"
    )
    assert caught.value.hint == "install postgresql-client-16"


def test_programs_that_are_too_old() -> None:
    with pytest.raises(ToolTooOld) as caught:
        postgres_programs.dump_programs(18, programs(15, 13))
    assert caught.value.message == "pg_dump 15 is older than the server, which is PostgreSQL 18"
    assert caught.value.hint == "install postgresql-client-18"


def test_programs_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as caught:
        postgres_programs.dump_programs(18, {})
    assert caught.value.message == "pg_dump is not installed"
    with pytest.raises(ToolMissing) as caught:
        Programs(18, tmp_path).program("pg_restore")
    assert caught.value.message == "pg_restore of PostgreSQL 18 is not installed"
    assert caught.value.hint == "install the package postgresql-18"


def make(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()


def test_where_programs_are_found(tmp_path: Path) -> None:
    for name in (
        "debian/15/bin/pg_dump",
        "debian/9.6/bin/pg_dump",
        "debian/16/bin/psql",
        "pgsql-18/bin/pg_dump",
    ):
        make(tmp_path / name)
    found = postgres_programs.installed((f"{tmp_path}/debian/*/bin", f"{tmp_path}/pgsql-*/bin"))
    assert {major: place.directory for major, place in found.items()} == {
        15: tmp_path / "debian/15/bin",
        18: tmp_path / "pgsql-18/bin",
    }


def test_an_absent_place_is_no_error(tmp_path: Path) -> None:
    assert postgres_programs.installed((f"{tmp_path}/none/*/bin",)) == {}
