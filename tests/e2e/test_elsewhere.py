"""The machine that ran drkit has burned: the repository and what stands outside it are enough."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import testenv
from testenv import Site, witness
from tests.e2e import accounts, pulled
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


def shown(drkit: Drkit) -> dict[str, Any]:
    """The newest point, without how long ago its bytes were read, which is another moment later."""
    found: dict[str, Any] = drkit.ask("show", "latest")
    ages = {"oldest_seconds", "half_seconds"}
    return {**found, "reread": [{k: v for k, v in one.items() if k not in ages} for one in found["reread"]]}


def kinds(copies: Path) -> dict[str, int]:
    """How many manifests and drills were read into a directory; summaries of ledgers stand beside them."""
    found = [json.loads(path.read_text()) for path in copies.glob("*.json")]
    return {"manifest": sum("parts" in one for one in found), "drill": sum("level" in one for one in found)}


def test_everything_is_read_from_the_repository_again(copy: Drkit, drilled: Drilled) -> None:
    """The state directory holds copies alone: without it the same is said as before."""
    before = [copy.ask("points"), shown(copy)]
    status = copy.ask("status")
    shutil.rmtree(copy.state)
    assert [copy.ask("points"), shown(copy)] == before
    assert copy.ask("status")["last_passed_drill"] == status["last_passed_drill"]
    # A backup after the loss does not take the old point for its own remains.
    shutil.rmtree(copy.state)
    made = copy.ask("backup")["id"]
    assert copy.sealed() == [made, drilled.point]
    # For a point by its name nothing is read but what is its own.
    shutil.rmtree(copy.state)
    assert copy.ask("show", made)["id"] == made
    copies = copy.state / "catalog" / "primary"
    assert kinds(copies) == {"manifest": 1, "drill": 0}
    assert len(copy.points()) == 2
    assert kinds(copies) == {"manifest": 2, "drill": 1}


def test_a_bare_machine_lists_shows_and_drills(bare: Drkit, drilled: Drilled) -> None:
    assert bare.sealed() == [drilled.point]
    assert shown(bare) == shown(drilled.drkit)
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


# No configuration at all


@pytest.fixture
def nothing(copy: Drkit, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A machine with the repository, its password and an identity, and no configuration.

    The point is of a site whose secrets have the password of the database as well.
    """
    login = copy.home / "database.password"
    copy.change(lambda document: document["secrets"]["paths"].append(str(login)))
    copy.change(lambda document: document.update(restore={"stop": f"touch {copy.home}/has-run"}))
    copy.ask("backup")
    drkit = Drkit(new_home())
    drkit.home.mkdir()
    copy.repository.rename(drkit.repository)
    for secret in ("restic.password", "drill.agekey"):
        shutil.copy2(copy.home / secret, drkit.home)
    yield drkit
    shutil.rmtree(drkit.home)


def at_address(drkit: Drkit, *words: str) -> list[str]:
    where = ("--repository", str(drkit.repository), "--password-file", str(drkit.restic_password))
    return [words[0], *where, *words[1:]]


def test_from_nothing(
    nothing: Drkit, copy: Drkit, drilled: Drilled, site: Site, name: str, new_home: Callable[[], Path]
) -> None:
    """From an empty root; the login to the database is in the point, and so is the configuration."""
    root = new_home()
    assert not nothing.config.exists()
    listed = nothing.ask(*at_address(nothing, "points"))["points"]
    assert [point["status"] for point in listed] == ["sealed", "sealed"]
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"
    words = at_address(
        nothing, "restore", "latest", "--yes", "--identity", str(nothing.identity), "--root", str(root)
    )
    login = copy.home / "database.password"
    told = nothing.run(*words, "--dry-run", "--json")
    assert told.code == 2, "the database of the configuration is the one that runs, and is not empty"
    assert "database registry (" in told.error["message"]
    result = nothing.ask(*words, "--database-dsn", where, "--database-password-file", str(login))
    assert {step["what"] for step in result["steps"]} > {"drkit's configuration", "image blobs"}
    back, config = Path(f"{root}{copy.config}"), copy.config
    assert (back.read_bytes(), back.stat().st_mode) == (config.read_bytes(), config.stat().st_mode)
    missing, commands = [each for each in result["warnings"] if "configuration" in each]
    assert str(copy.restic_password) in missing, "what the point does not have"
    assert str(login) not in missing
    assert commands == (
        "drkit's configuration: read its [restore] before drkit goes by it: this restore does not"
    )
    assert not (copy.home / "has-run").exists(), "a command out of a repository is not run"
    tops = [Path(f"{root}{path}") for path in (site.blobs, *accounts.protected(drilled.drkit))]
    found = accounts.files(*tops)
    # Of another point than the drilled one: other tests have been at work in the tree, and have tidied up.
    now = accounts.files(site.blobs, *accounts.protected(drilled.drkit))
    assert {path.removeprefix(str(root)): about for path, about in found.items()} == now
    with testenv.connect(site, name) as connection:
        tables = witness.tables(connection)
    assert tables == {what: about for what, about in drilled.database.items() if what.startswith("table ")}
    assert list(Path(f"{root}{copy.state}/runs").iterdir()) == [], "no password is left"
    assert pulled.every_tag(site, name, Path(f"{root}{site.blobs}"), new_home) > 5


def test_an_address_needs_its_password_and_a_name_none(copy: Drkit) -> None:
    fails(
        copy,
        ["points", "--repository", str(copy.repository)],
        2,
        "usage_error",
        exactly(f"{copy.repository} is an address, and nothing says its password"),
        "give --password-file FILE; a repository of the configuration is meant by its name",
    )
    fails(
        copy,
        ["points", "--site", "registry.example.test"],
        2,
        "usage_error",
        "--site is for a repository at an address",
        "give --repository URL and --password-file FILE as well",
    )
    absent = copy.home / "absent"
    words = ["points", "--repository", str(copy.repository), "--password-file", str(absent)]
    message = exactly(f"cannot read the repository's password file {absent}")
    fails(copy, words, 4, "config_error", message, "see --password-file")
    assert copy.ask("points", "--repository", "primary")["points"]


def test_several_sites_in_one_repository(copy: Drkit) -> None:
    copy.change(lambda document: document["site"].update(name="another.example.test"))
    copy.change(lambda document: [document.pop(part) for part in ("database", "blobs")])
    copy.ask("backup")
    fails(
        copy,
        at_address(copy, "points"),
        2,
        "usage_error",
        "the repository has recovery points of 2 sites: another.example.test, registry.example.test",
        "say which one with --site NAME",
    )
    (point,) = copy.ask(*at_address(copy, "points", "--site", "another.example.test"))["points"]
    assert point["status"] == "sealed"
