"""The machine that ran drkit has burned: what stands outside it is enough."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import testenv
from testenv import Site
from tests.e2e import accounts
from tests.e2e.commands import Drkit, exactly, fails, to_toml
from tests.e2e.conftest import Drilled

DATABASE = "elsewhere"


@pytest.fixture
def bare(copy: Drkit, new_home: Callable[[], Path]) -> Drkit:
    """Another machine: the repository, its password, the identity, and a name; nothing else."""
    made = Drkit(new_home())
    made.home.mkdir()
    for name in ("restic.password", "drill.agekey"):
        shutil.copy2(copy.home / name, made.home / name)
    shutil.copytree(copy.repository, made.repository)
    made.config.write_text(
        to_toml(
            {
                "site": {"name": "registry.example.test", "state": str(made.state)},
                "repository": [
                    {
                        "name": "primary",
                        "url": str(made.repository),
                        "password_file": str(made.restic_password),
                    }
                ],
                "secrets": {"identity_file": str(made.identity)},
            }
        )
    )
    return made


@pytest.fixture
def database(site: Site) -> Iterator[str]:
    """The name of a database that is not there yet, and not afterwards either."""
    yield DATABASE
    with testenv.connect(site, "postgres") as server:
        server.autocommit = True
        server.execute(f"DROP DATABASE IF EXISTS {DATABASE}".encode())


def test_the_catalog_is_only_a_cache(copy: Drkit, drilled: Drilled) -> None:
    shutil.rmtree(copy.state)
    (point,) = copy.points()
    assert (point["id"], point["status"]) == (drilled.point, "sealed")
    assert point["last_drill"]["outcome"] == "passed", "a drill is known without the machine that made it"
    assert copy.ask("show", "latest")["id"] == drilled.point
    shutil.rmtree(copy.state)
    assert copy.ask("drill")["outcome"] == "passed"
    # A backup made after the loss does not take the old point for its own remains.
    shutil.rmtree(copy.state)
    copy.ask("backup")
    assert drilled.point in copy.sealed()


def test_another_machine_lists_and_drills(bare: Drkit, drilled: Drilled) -> None:
    assert bare.sealed() == [drilled.point]
    assert bare.ask("show", "latest")["closure"]["missing"] == 0
    assert bare.ask("drill")["outcome"] == "passed"
    assert bare.ask("verify")["repository"] == "primary"


def test_another_machine_restores(
    bare: Drkit, site: Site, drilled: Drilled, database: str, new_home: Callable[[], Path]
) -> None:
    root = new_home()
    login = bare.home / "pgpass"
    password = site.password_file.read_text().strip().replace("\\", "\\\\").replace(":", "\\:")
    login.write_text(f"*:*:*:*:{password}\n")
    login.chmod(0o600)
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={database}"
    words = ("restore", "latest", "--yes", "--root", str(root), "--database-dsn", where)
    result = bare.in_environment(PGPASSFILE=str(login)).ask(*words)
    assert len(result["steps"]) == 3
    below = {path: file for path, file in accounts.files(root).items() if "/data/registry/" in path}
    assert below, "the blobs came back below the root"
    with testenv.connect(site, database) as connection:
        row = connection.execute("SELECT count(*) FROM artifact").fetchone()
    assert row is not None
    assert row[0] > 0


def test_it_says_what_a_restore_lacks(bare: Drkit, new_home: Callable[[], Path]) -> None:
    root = ("--root", str(new_home()))
    fails(
        bare,
        ["restore", "latest", "--yes", *root],
        4,
        "config_error",
        exactly("the configuration does not say where the database registry goes"),
        ".*--database-dsn.*",
    )
    bare.change(lambda document: document.pop("secrets"))
    fails(
        bare,
        ["restore", "latest", "--yes", *root, "--only", "secrets"],
        4,
        "config_error",
        exactly("there is no age identity to open the secrets with"),
        ".*--identity FILE.*",
    )
    fails(
        bare,
        ["drill"],
        6,
        "drill_error",
        exactly("this point has a secrets bundle, and there is no age identity to open it with"),
        ".*--identity FILE.*",
    )
