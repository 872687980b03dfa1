"""Parts of a point, to other places: what comes back, what is refused, what is set aside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import Connection

import testenv
from testenv import Site
from tests.e2e import accounts
from tests.e2e.commands import Drkit, exactly, fails
from tests.e2e.conftest import Drilled


@pytest.fixture
def root(new_home: Callable[[], Path]) -> Path:
    """A directory that is not there yet."""
    return new_home()


def dsn(site: Site, name: str) -> str:
    return f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"


def to_database(site: Site, name: str) -> list[str]:
    return ["restore", "latest", "--only", "database", "--database-dsn", dsn(site, name)]


def to_root(root: Path, only: str) -> list[str]:
    return ["restore", "latest", "--only", only, "--root", str(root)]


def databases(server: Connection) -> set[str]:
    return {name for (name,) in server.execute(b"SELECT datname FROM pg_database").fetchall()}


def make_database(site: Site, server: Connection, name: str, *statements: str) -> None:
    server.execute(f"CREATE DATABASE {name}".encode())
    with testenv.connect(site, name) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def same_database(found: dict[str, str], wanted: dict[str, str], name: str) -> None:
    """Equal but for the name."""
    assert {
        key.replace(f"database {name}", "database registry"): value for key, value in found.items()
    } == wanted


def below(root: Path, files: dict[str, str]) -> dict[str, str]:
    """Accounts of files below a root, by the paths that they had."""
    return {path.removeprefix(str(root)): about for path, about in files.items()}


# Each part alone


def test_database_alone_under_another_name(
    drilled: Drilled, site: Site, server: Connection, name: str
) -> None:
    make_database(site, server, name)  # an empty one is not in the way
    result = drilled.drkit.ask(*to_database(site, name), "--yes")
    assert [step["what"] for step in result["steps"]] == ["database registry"]
    assert (result["set_aside"], result["warnings"]) == ([], [])
    same_database(accounts.database(site, name), drilled.database, name)
    assert not [found for found in databases(server) if "restoring" in found]


def test_blobs_alone_below_a_root(drilled: Drilled, site: Site, root: Path) -> None:
    Path(f"{root}{site.blobs}").mkdir(parents=True)  # an empty one is not in the way
    result = drilled.drkit.ask(*to_root(root, "blobs"), "--yes")
    (step,) = result["steps"]
    assert step["target"] == f"{root}{site.blobs}"
    assert "every byte hashed" in step["verified"]
    wanted = {p: about for p, about in drilled.files.items() if p.startswith(str(site.blobs))}
    assert below(root, accounts.files(Path(f"{root}{site.blobs}"))) == wanted
    assert [p.name for p in Path(f"{root}{site.data}").iterdir()] == ["registry"], "nothing else, no staging"


def test_secrets_alone_below_a_root(drilled: Drilled, site: Site, root: Path) -> None:
    drilled.drkit.ask(*to_root(root, "secrets"), "--yes")
    places = [Path(f"{root}{path}") for path in accounts.protected(drilled.drkit)]
    wanted = {p: about for p, about in drilled.files.items() if not p.startswith(str(site.blobs))}
    assert below(root, accounts.files(*places)) == wanted
    assert not Path(f"{root}{site.blobs}").exists()


# Looking and asking


def test_dry_run_shows_and_changes_nothing(
    drilled: Drilled, site: Site, server: Connection, name: str, root: Path
) -> None:
    words = ["restore", "latest", "--root", str(root), "--database-dsn", dsn(site, name), "--dry-run"]
    runs = drilled.drkit.state / "runs"
    before = databases(server), list(runs.iterdir())
    plan = drilled.drkit.ask(*words)
    assert {step["kind"]: step["target"] for step in plan["steps"]} == {
        "database": f"{name} at 127.0.0.1:{site.database_port}",
        "blobs": f"{root}{site.blobs}",
        "secrets": str(root),
    }
    assert all(step["present"] == "nothing" and not step["blocked"] for step in plan["steps"])
    shown = drilled.drkit.run(*words).stdout
    assert f"{root}{site.blobs}" in shown
    assert not root.exists()
    assert (databases(server), list(runs.iterdir())) == before


# What is in the way


def test_database_that_is_not_empty_is_refused(
    drilled: Drilled, site: Site, server: Connection, name: str
) -> None:
    make_database(site, server, name, "CREATE TABLE precious (id int)", "INSERT INTO precious VALUES (42)")
    before = accounts.database(site, name), databases(server)
    where = exactly(f"at {name} at 127.0.0.1:{site.database_port}")
    message = f"the target is not empty: database registry \\(1 tables and other objects {where}\\)"
    hint = "--replace sets it aside under another name; nothing was changed"
    for more in (["--yes"], ["--dry-run"], []):
        fails(drilled.drkit, [*to_database(site, name), *more], 2, "target_not_empty", message, hint)
    assert (accounts.database(site, name), databases(server)) == before


@pytest.mark.parametrize("only", ["blobs", "secrets"])
def test_files_in_the_way_are_refused(drilled: Drilled, site: Site, root: Path, only: str) -> None:
    top = site.blobs if only == "blobs" else site.data / "secret/keys"
    precious = Path(f"{root}{top}/secretkey")
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    before = accounts.files(root)
    message = "the target is not empty: .*"
    hint = "--replace sets it aside under another name; nothing was changed"
    fails(drilled.drkit, [*to_root(root, only), "--yes"], 2, "target_not_empty", message, hint)
    assert accounts.files(root) == before


def test_replaced_twice_nothing_is_lost(
    drilled: Drilled, site: Site, server: Connection, name: str, root: Path
) -> None:
    """What the first restore set aside is still there after the second, which sets aside in its turn.

    A session that somebody forgot to close keeps no database from being set aside.
    """
    make_database(site, server, name, "CREATE TABLE precious (id int)", "INSERT INTO precious VALUES (42)")
    olds = [Path(f"{root}{site.blobs}/old"), Path(f"{root}{site.data}/secret/keys/secretkey")]
    for old in olds:
        old.parent.mkdir(parents=True)
        old.write_text("precious")
    words = ["restore", "latest", "--root", str(root), "--database-dsn", dsn(site, name)]
    with contextlib.closing(testenv.connect(site, name)) as forgotten:
        forgotten.execute(b"SELECT 1")
        first = drilled.drkit.ask(*words, "--yes", "--replace")["set_aside"]
    second = drilled.drkit.ask(*words, "--yes", "--replace")["set_aside"]
    assert len(first) == 3
    assert not set(first) & set(second)
    aside = f"{name}_before_{drilled.point.replace('-', '_')}"
    with testenv.connect(site, aside) as connection:
        assert connection.execute(b"SELECT id FROM precious").fetchall() == [(42,)]
    same_database(accounts.database(site, f"{aside}_2"), drilled.database, f"{aside}_2")
    same_database(accounts.database(site, name), drilled.database, name)
    assert Path(f"{root}{site.blobs}.before-{drilled.point}/old").read_text() == "precious"
    assert Path(f"{olds[1]}.before-{drilled.point}").read_text() == "precious"
    assert all(Path(path).exists() for path in (*first, *second) if not path.startswith("database "))


def test_link_that_leads_out_of_the_root_is_refused(drilled: Drilled, site: Site, root: Path) -> None:
    outside = root.with_name(f"{root.name}-outside")
    outside.mkdir()
    inside = Path(f"{root}{site.data}")
    inside.mkdir(parents=True)
    (inside / "secret").symlink_to(outside)
    message = exactly(f"{inside}/secret/") + ".* would be written to .*" + exactly(f", outside {root}") + ".*"
    hint = "remove the link that leads there, or choose an empty directory"
    words = [*to_root(root, "secrets"), "--yes"]
    fails(drilled.drkit, words, 7, "restore_damaged", "14 secret files: " + message, hint)
    assert list(outside.iterdir()) == []


# What is there and right


def test_only_what_is_lost_or_damaged_is_read_from_the_repository(
    drilled: Drilled, site: Site, root: Path
) -> None:
    """The rest is shared with what is set aside, which stays as it was: damage, times and all."""
    drilled.drkit.ask(*to_root(root, "blobs"), "--yes")
    there = Path(f"{root}{site.blobs}")
    blobs = sorted(there.glob("docker/registry/v2/blobs/sha256/*/*/data"))
    blobs[0].unlink()
    blobs[1].write_bytes(bytes(blobs[1].stat().st_size))
    blobs[2].chmod(0o600)
    surplus = there / "docker/registry/v2/blobs/sha256/00" / ("00" + "0" * 62) / "data"
    surplus.parent.mkdir(parents=True)
    surplus.write_text("pushed since")
    (link,) = list(there.glob("docker/registry/v2/repositories/*/*/_layers/sha256/*/link"))[:1]
    link.write_text("")
    before = accounts.files(there)

    result = drilled.drkit.ask(*to_root(root, "blobs"), "--yes", "--replace")
    (aside,) = result["set_aside"]
    found = {p.replace(aside, str(there), 1): about for p, about in accounts.files(Path(aside)).items()}
    assert found == before
    wanted = {p: about for p, about in drilled.files.items() if p.startswith(str(site.blobs))}
    assert below(root, accounts.files(there)) == wanted
    verified = result["steps"][0]["verified"]
    assert f"{len(blobs) - 3} of them (" in verified
    assert f"1 were there and are damaged, and were restored: sha256:{blobs[1].parent.name};" in verified
    shared = [path.samefile(aside / path.relative_to(there)) for path in blobs[1:]]
    assert shared == [False, False] + [True] * (len(blobs) - 3)
    assert f"{len(blobs)} blobs, " in verified
    assert not list(Path(f"{root}{site.data}").glob(".drkit-*"))


# Where a directory is a link


def test_blobs_behind_a_link_are_backed_up_and_the_link_stays(fresh: Drkit, site: Site, root: Path) -> None:
    """restic would keep the link alone; a registry without a database would not even notice."""
    root.mkdir()
    link = root / "registry"
    link.symlink_to(site.blobs)
    fresh.change(lambda document: [document.pop(part) for part in ("database", "secrets")])
    fresh.change(lambda document: document["blobs"].update(path=str(link)))
    wanted = accounts.files(site.blobs)
    assert fresh.ask("backup")["closure"]["present"] > 50
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    link.unlink()
    link.symlink_to(elsewhere)
    fresh.ask("restore", "latest", "--yes")
    assert os.path.realpath(link) == str(elsewhere)
    found = accounts.files(elsewhere)
    assert {
        path.replace(str(elsewhere), str(site.blobs), 1): about for path, about in found.items()
    } == wanted


def test_link_inside_the_tree_is_refused(fresh: Drkit, site: Site, root: Path) -> None:
    root.mkdir()
    (root / "docker").symlink_to(site.blobs / "docker")
    fresh.change(lambda document: [document.pop(part) for part in ("database", "secrets")])
    fresh.change(lambda document: document["blobs"].update(path=str(root)))
    message = "no recovery point was sealed: blobs: " + exactly(
        f"{root}/docker is a symbolic link, and would not be in the backup"
    )
    fails(fresh, ["backup"], 3, "backup_incomplete", message, "what is behind a link is not in a backup: .*")
    assert fresh.sealed() == []


# Under another name


def test_another_hostname(drilled: Drilled, site: Site, root: Path) -> None:
    """harbor.yml says it, and the certificate that is not for it is named; nothing else is another."""
    result = drilled.drkit.ask(*to_root(root, "secrets"), "--yes", "--hostname", "moved.example.org")
    found = Path(f"{root}{site.harbor_yml}").read_text().splitlines()
    wanted = site.harbor_yml.read_text().splitlines()
    changed = [(old, new) for old, new in zip(wanted, found, strict=True) if old != new]
    assert ("hostname: registry.example.test", "hostname: moved.example.org") in changed
    assert all("moved.example.org" in new for _old, new in changed)
    (warning,) = result["warnings"]
    assert "and not for moved.example.org, which harbor.yml says" in warning
    again = drilled.drkit.ask(*to_root(root, "secrets"), "--yes", "--hostname", "moved.example.org")
    assert again["set_aside"] == [], "the same command finds what it has written"


def test_what_is_no_hostname(drilled: Drilled, root: Path) -> None:
    message = "--hostname 'https://x' is no name of a host"
    hint = "give the name that clients will use, such as registry.example.com, without a scheme"
    words = [*to_root(root, "secrets"), "--yes", "--hostname", "https://x"]
    fails(drilled.drkit, words, 2, "usage_error", message, hint)
    message = "--hostname changes harbor.yml, which --only blobs does not restore"
    words = [*to_root(root, "blobs"), "--yes", "--hostname", "new.example.org"]
    fails(drilled.drkit, words, 2, "usage_error", message, "leave one of them out")
