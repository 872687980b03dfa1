"""The machine that ran drkit has burned: the repository and what stands outside it are enough."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import testenv
from testenv import Site, witness
from tests.e2e import accounts
from tests.e2e.commands import Drkit, exactly, fails, to_toml
from tests.e2e.conftest import Drilled


@pytest.fixture
def bare(drilled: Drilled, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A machine that has the repository, its password and an identity, and knows nothing else of the site."""
    drkit = Drkit(new_home())
    drkit.home.mkdir()
    shutil.copytree(drilled.drkit.repository, drkit.repository)
    for secret in ("restic.password", "drill.agekey"):
        shutil.copy2(drilled.drkit.home / secret, drkit.home)
    repository = {
        "name": "primary", "url": str(drkit.repository), "password_file": str(drkit.restic_password),
    }  # fmt: skip
    site_section = {"name": "registry.example.test", "state": str(drkit.state)}
    drkit.config.write_text(to_toml({"site": site_section, "repository": [repository]}))
    yield drkit
    shutil.rmtree(drkit.home)


def test_everything_is_read_from_the_repository_again(copy: Drkit, drilled: Drilled) -> None:
    """The state directory holds copies alone: without it the same is said as before."""
    before = [copy.ask("points"), copy.ask("show", "latest")]
    status = copy.ask("status")
    shutil.rmtree(copy.state)
    assert [copy.ask("points"), copy.ask("show", "latest")] == before
    assert copy.ask("status")["last_passed_drill"] == status["last_passed_drill"]
    # A backup after the loss does not take the old point for its own remains.
    shutil.rmtree(copy.state)
    made = copy.ask("backup")["id"]
    assert copy.sealed() == [made, drilled.point]
    # For a point by its name nothing is read but what is its own.
    shutil.rmtree(copy.state)
    assert copy.ask("show", made)["id"] == made
    copies = copy.state / "catalog" / "primary"
    assert len(list(copies.iterdir())) == 1
    assert len(copy.points()) == 2
    assert len(list(copies.iterdir())) == 3, "two manifests, one drill"


def test_a_bare_machine_lists_shows_and_drills(bare: Drkit, drilled: Drilled) -> None:
    assert bare.sealed() == [drilled.point]
    assert bare.ask("show", "latest") == drilled.drkit.ask("show", "latest")
    hint = exactly("set identity_file in [secrets], or give --identity FILE")
    message = "this point has a secrets bundle, and there is no age identity to open it with"
    fails(bare, ["drill"], 6, "drill_error", message, hint)
    result = bare.ask("drill", "--identity", str(bare.identity))
    assert result["outcome"] == "passed"
    (point,) = bare.points()
    assert point["last_drill"]["id"] == result["id"], "the report is in the repository, for every machine"
    bare.ask("verify", "--read-data-subset", "100%")


def test_a_bare_machine_says_what_a_restore_lacks(bare: Drkit, place: Path) -> None:
    message = "the configuration does not say where the database registry goes"
    hint = exactly("--database-dsn 'host=... user=...' names it; the password comes from PGPASSFILE")
    fails(bare, ["restore", "latest", "--yes"], 4, "config_error", message, hint)
    words = ["restore", "latest", "--yes", "--only", "secrets", "--root", str(place / "not-made")]
    message = "there is no age identity to open the secrets with"
    hint = "give --identity FILE, or restore the rest with --only database and --only blobs"
    fails(bare, words, 4, "config_error", message, hint)
    assert not (place / "not-made").exists()


def test_a_bare_machine_restores(
    bare: Drkit, drilled: Drilled, site: Site, name: str, new_home: Callable[[], Path]
) -> None:
    """Below a root, into a database that the command line names, with a password in libpq's own file."""
    login = bare.home / "pgpass"
    password = site.planted["database password"].replace("\\", "\\\\").replace(":", "\\:")
    login.touch(mode=0o600)
    login.write_text(f"*:*:*:*:{password}\n")
    root = new_home()
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"
    words = ("--root", str(root), "--database-dsn", where, "--identity", str(bare.identity))
    result = bare.in_environment(PGPASSFILE=str(login)).ask("restore", "latest", "--yes", *words)
    assert result["set_aside"] == []
    tops = [Path(f"{root}{path}") for path in (site.blobs, *accounts.protected(drilled.drkit))]
    found = accounts.files(*tops)
    assert {path.removeprefix(str(root)): about for path, about in found.items()} == drilled.files
    with testenv.connect(site, name) as connection:
        tables = witness.tables(connection)
    assert tables == {what: about for what, about in drilled.database.items() if what.startswith("table ")}
