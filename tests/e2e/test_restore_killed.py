"""A restore that is killed again and again: under the real names is the old or the new, never a half."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from psycopg import Connection

import testenv
from testenv import Site
from tests.e2e import accounts, gates, moments
from tests.e2e.commands import Drkit, wait_for
from tests.e2e.conftest import Drilled
from tests.e2e.gates import Gate
from tests.e2e.test_killed import clean, kill_at, kill_when, nothing_survives, same_tables

# What a restore comes to, in two threads from the sixth on.
_GATES: dict[str, Callable[[Drkit], Gate]] = {
    "the repository is opened": gates.site_locked,
    "the seal is read": lambda drkit: gates.before(drkit, " dump --archive tar "),
    "the seal was read": lambda drkit: gates.after(drkit, " dump --archive tar "),
    "the dump is fetched": lambda drkit: gates.before(drkit, " restore --json * --target *dump-"),
    "the dump was fetched": lambda drkit: gates.after(drkit, " restore --json * --target *dump-"),
    "the database is loaded": gates.loading,
    "the database was loaded": lambda drkit: gates.after(drkit, "/pg_restore --exit-on-error"),
    "blobs are compared": lambda drkit: gates.before(drkit, " ls --json --recursive "),
    "blobs are shared": lambda drkit: gates.before(drkit, " restore --json * --overwrite never"),
    "blobs were restored": lambda drkit: gates.after(drkit, " restore --json * --overwrite never"),
}
_RANDOM = 10


def test_twenty_kills_on_top_of_one_another(
    copy: Drkit, drilled: Drilled, site: Site, server: Connection, name: str, new_home: Callable[[], Path]
) -> None:
    root = new_home()
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"
    words = ["restore", "latest", "--yes", "--root", str(root), "--database-dsn", where, "--replace"]
    wanted = {p: about for p, about in drilled.files.items() if p.startswith(str(site.blobs))}
    there = Path(f"{root}{site.blobs}")
    before = _lose_something(copy, words, there, server, name, site)
    random = Random(20261128)
    kills: list[Callable[[], object]] = [
        lambda gate=gate: kill_at(gate(copy), *words)  # type: ignore[misc]  # each its own
        for gate in _GATES.values()
    ]
    kills += [
        lambda delay=delay: kill_when(copy, moments.after(delay), "time is up", *words)  # type: ignore[misc]
        for delay in [random.uniform(0.8, 3.5) for _ in range(_RANDOM)]
    ]
    for kill in kills:
        kill()
        nothing_survives(copy)
        if there.exists():
            assert _files(there, root) in (before, wanted)
        if accounts.exists(server, name) and _admits(server, name):
            wait_for(lambda: _sessions(server, name) == 0, "the server has noticed")
            if not _precious(site, name):
                same_tables(site, name, drilled)

    ended = copy.run(*words, "--json")
    assert ended.code == 0, ended
    same_tables(site, name, drilled)
    assert _files(there, root) == wanted
    found = accounts.files(*(Path(f"{root}{path}") for path in accounts.protected(copy)))
    named = {path.removeprefix(str(root)): about for path, about in found.items() if ".before-" not in path}
    secrets = {p: about for p, about in drilled.files.items() if not p.startswith(str(site.blobs))}
    assert _but_times_of_directories(named) == _but_times_of_directories(secrets)
    assert not accounts.exists(server, f"{name}_drkit_restoring")
    left = [path for path in root.rglob("*") if ".drkit-" in path.name]
    assert left == []
    clean(copy)
    # Whatever run set it aside, it is all there, and told.
    result = ended.result
    told = [
        *result["set_aside"],
        *(line.rpartition(": ")[2] for line in result["warnings"] if "earlier" in line),
    ]
    trees = [Path(path) for path in told if path.startswith(f"{there}.before-")]
    assert [tree for tree in trees if _files(tree, root, as_if=there) == before]
    assert sorted(trees) == sorted(there.parent.glob(f"{there.name}.before-*"))
    asides = [path.removeprefix("database ") for path in told if path.startswith("database ")]
    assert [database for database in asides if _precious(site, database)]


def _lose_something(
    drkit: Drkit, words: list[str], there: Path, server: Connection, name: str, site: Site
) -> dict[str, str]:
    """What is there before: most of the images, another database, another secret key; returns the first."""
    for part in ("blobs", "secrets"):
        drkit.ask(*words, "--only", part)
    next(there.glob("docker/registry/v2/blobs/sha256/*/*/data")).unlink()
    server.execute(f"CREATE DATABASE {name}".encode())
    with testenv.connect(site, name) as connection:
        connection.execute(b"CREATE TABLE precious (id int)")
    key = there.parent / "secret/keys/secretkey"
    key.write_text("precious")
    return _files(there, there, as_if=site.blobs)


def _but_times_of_directories(files: dict[str, str]) -> dict[str, str]:
    """What is set aside in a directory that was there changes its time."""
    return {path: about.rpartition(" ")[0] if about[0] == "d" else about for path, about in files.items()}


def _files(tree: Path, root: Path, as_if: Path | None = None) -> dict[str, str]:
    """An account of a tree by the paths that it had in production."""
    found = accounts.files(tree)
    if as_if is not None:
        found = {path.replace(str(tree), str(as_if), 1): about for path, about in found.items()}
    return {path.removeprefix(str(root)): about for path, about in found.items()}


def _admits(server: Connection, name: str) -> bool:
    row = server.execute(b"SELECT datallowconn FROM pg_database WHERE datname = %s", (name,)).fetchone()
    return bool(row and row[0])


def _sessions(server: Connection, name: str) -> int:
    query = b"SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    row = server.execute(query, (name,)).fetchone()
    return int(row[0]) if row else 0


def _precious(site: Site, name: str) -> bool:
    with testenv.connect(site, name) as connection:
        found = connection.execute(b"SELECT 1 FROM pg_tables WHERE tablename = 'precious'").fetchall()
    return bool(found)


def test_killed_between_the_two_renamings(
    copy: Drkit, drilled: Drilled, site: Site, new_home: Callable[[], Path]
) -> None:
    """No program runs there that could be waited for: what is on disk then is made by hand."""
    root = new_home()
    words = ["restore", "latest", "--yes", "--root", str(root), "--only", "blobs", "--replace"]
    there = Path(f"{root}{site.blobs}")
    copy.ask(*words)
    (lost, *_) = there.glob("docker/registry/v2/blobs/sha256/*/*/data")
    lost.unlink()
    kill_at(gates.after(copy, " restore --json * --overwrite never"), *words)
    aside = there.with_name(f"{there.name}.before-{drilled.point}")
    there.rename(aside)
    result = copy.ask(*words)
    assert result["set_aside"] == []
    assert result["warnings"] == [f"set aside by an earlier restore of this point: {aside}"]
    assert len(list(there.glob("docker/registry/v2/blobs/sha256/*/*/data"))) > 50
    assert not (aside / lost.relative_to(there)).exists()
    wanted = {p: about for p, about in drilled.files.items() if p.startswith(str(site.blobs))}
    assert _files(there, root) == wanted
    assert [path.name for path in there.parent.iterdir() if ".drkit-" in path.name] == []
