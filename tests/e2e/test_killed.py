"""kill -9 at any moment: nothing unsealed is offered, nothing survives, the next run cleans up."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import Connection

import testenv
from testenv import Site, witness
from tests.e2e import accounts, gates, moments, processes
from tests.e2e.commands import Drkit, wait_for
from tests.e2e.conftest import Drilled
from tests.e2e.gates import Gate
from tests.e2e.moments import Moment
from tests.e2e.repositories import locks


def kill_at(gate: Gate, *words: str) -> None:
    """Start a command and kill it -9 where it comes to the gate."""
    process = gate.drkit.start(*words)
    try:
        gate.wait(process)
    finally:
        process.kill()
        process.communicate()


def kill_when(drkit: Drkit, moment: Moment, what: str, *words: str) -> bool:
    """Start a command and kill it -9 at that moment; False if it was over before.

    Where the moment passes, the drkit is one that waits at a gate behind it.
    """
    process = drkit.start(*words)
    try:
        # The moment may come late on a busy machine.
        wait_for(lambda: moment() or process.poll() is not None, what, seconds=120)
        over = process.poll() is not None
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    return not over


def nothing_survives(drkit: Drkit) -> None:
    """No child outlives its drkit, and no session is left on the server."""
    assert processes.survivors(drkit.home) == []
    processes.bury()


def clean(drkit: Drkit) -> None:
    """Nothing of any run is left on this machine."""
    assert list((drkit.state / "runs").iterdir()) == []
    assert not drkit.sandboxes.exists() or list(drkit.sandboxes.iterdir()) == []
    assert not (drkit.state / "locks/site.json").exists()


# Backup

_DURING_BACKUP: dict[str, Callable[[Drkit], Gate]] = {
    "site locked": gates.site_locked,
    "databases held": gates.databases_held,
    "pg_dump runs": gates.dump_runs,
    "first part stored": gates.database_stored,
    "all parts stored": gates.parts_stored,
    "seal stored": gates.seal_stored,
}


@pytest.mark.parametrize("moment", _DURING_BACKUP)
def test_backup(copy: Drkit, drilled: Drilled, server: Connection, moment: str) -> None:
    kill_at(_DURING_BACKUP[moment](copy), "backup")
    nothing_survives(copy)
    wait_for(lambda: accounts.sessions(server) == 0, "the server has noticed")
    points = copy.points()
    sealed = [point["id"] for point in points if point["status"] == "sealed"]
    assert len(sealed) == (2 if moment == "seal stored" else 1)
    assert drilled.point in sealed

    ended = copy.run("backup", "--json")
    assert ended.result["status"] == "sealed"
    said = " / ".join(ended.result["swept"])
    for point in points:
        if point["status"] == "incomplete":
            assert f"removed the incomplete point {point['id']} of an earlier run" in said
    if moment not in ("site locked", "seal stored"):
        assert "removed what the killed run" in said
    assert copy.sealed() == [ended.result["id"], *sealed]
    clean(copy)


def test_backup_at_any_moment(copy: Drkit, drilled: Drilled) -> None:
    """Killed again and again, a little later each time, on top of what the last kill left."""
    for delay in (0.1, 0.4, 0.7, 0.9, 1.1, 1.3, 1.5, 1.8):
        kill_when(copy, moments.after(delay), "time is up", "backup")
        nothing_survives(copy)
    before = copy.sealed()
    assert before[-1] == drilled.point
    assert [copy.ask("backup")["id"], *before] == copy.sealed()
    clean(copy)
    copy.ask("expire")
    assert locks(copy) == [], "what stood in nobody's way goes when somebody needs the place to himself"
    copy.ask("verify", "--read-data-subset", "100%")


def test_stale_lock_does_not_stop_retention(copy: Drkit, drilled: Drilled) -> None:
    """Backups that stay green while retention is dead are how disks fill up."""
    slow = gates.slowly(copy, "/restic check").drkit
    assert kill_when(slow, lambda: locks(copy) != [], "restic has locked the repository", "verify")
    assert locks(copy), "a restic that was killed leaves its lock"
    assert copy.ask("expire")["kept"] == 1
    assert locks(copy) == []


# Drill

# A gate, and what is to be seen of the sandbox there.
_DURING_DRILL: dict[str, tuple[Callable[[Drkit], Gate], Callable[[Drkit], Moment]]] = {
    "sandbox made": (gates.sandbox_made, lambda drkit: moments.in_sandbox(drkit, "lock")),
    "PostgreSQL ready": (gates.server_ready, moments.server_accepts),
    "registry serves": (gates.registry_serves, lambda drkit: moments.in_sandbox(drkit, "registry.sock")),
    "dump cut": (gates.dump_cut, lambda drkit: moments.in_sandbox(drkit, "**/registry.dump")),
}


def test_drill(copy: Drkit, site: Site) -> None:
    """Killed at each moment in turn; the next drill sweeps what the last left, until one passes."""
    memory: set[int] = set()
    for moment, (gate, seen) in _DURING_DRILL.items():
        kill_at(gate(copy), "drill")
        assert seen(copy)(), moment
        nothing_survives(copy)
        # Beside the sandbox stands the cache of that drill alone.
        left = [path.name for path in copy.sandboxes.iterdir() if path.suffix != ".cache"]
        assert len(left) <= 1, "only what this kill left"
        memory |= segments(copy)
    assert memory, "a killed PostgreSQL leaves shared memory"
    red = copy.run("status", "--json").envelope
    assert red["error"]["kind"] == "not_green"
    assert {found["kind"] for found in red["result"]["findings"]} == {"lost_run"}
    result = copy.ask("drill")
    assert copy.run("status").code == 0
    assert result["outcome"] == "passed"
    assert f"removed the sandbox that the killed drill {left[0]} left" in result["problems"]
    assert not memory & processes.shared_memory()
    clean(copy)


def segments(drkit: Drkit) -> set[int]:
    """The shared memory segments that the servers of sandboxes say are theirs."""
    files = moments.found(drkit.sandboxes, "*/*/pg/data/postmaster.pid")
    lines = [file.read_text().splitlines() for file in files]
    return {int(found[6].split()[1]) for found in lines if len(found) > 6} & processes.shared_memory()


# Restore


_DURING_RESTORE = ("database half restored", "blobs half restored", "database in place")


@pytest.mark.parametrize("moment", _DURING_RESTORE)
def test_restore(
    copy: Drkit,
    drilled: Drilled,
    site: Site,
    server: Connection,
    name: str,
    new_home: Callable[[], Path],
    moment: str,
) -> None:
    """Under the real names there is all or nothing; the same command again brings the rest."""
    root = new_home()
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"
    words = ["restore", "latest", "--yes", "--root", str(root), "--database-dsn", where]
    when = {
        "database half restored": lambda: accounts.exists(server, f"{name}_drkit_restoring"),
        "blobs half restored": lambda: moments.found(root, "**/.drkit-restoring-*/*"),
        "database in place": lambda: accounts.exists(server, name),
    }
    # Until it is killed neither is the database filled, or the images are not in place.
    half = moment == "database half restored"
    held = gates.loading(copy) if half else gates.blobs_restored(copy)
    assert kill_when(held.drkit, when[moment], moment, *words), "it was over before"
    nothing_survives(copy)
    wait_for(lambda: accounts.sessions(server) == 0, "the server has noticed")
    if accounts.exists(server, name):
        same_tables(site, name, drilled)
    if Path(f"{root}{site.blobs}").exists():
        same_blobs(root, site, drilled)

    ended = copy.run(*words, "--replace", "--json")
    assert ended.code == 0, ended
    same_tables(site, name, drilled)
    same_blobs(root, site, drilled)
    assert not accounts.exists(server, f"{name}_drkit_restoring")
    assert list(root.glob("**/.drkit-restoring-*")) == []
    assert "removed what the killed run restore-" in ended.stderr + ended.stdout
    clean(copy)


def same_tables(site: Site, name: str, drilled: Drilled) -> None:
    with testenv.connect(site, name) as connection:
        found = witness.tables(connection)
    assert found == {what: about for what, about in drilled.database.items() if what.startswith("table ")}


def same_blobs(root: Path, site: Site, drilled: Drilled) -> None:
    found = accounts.files(Path(f"{root}{site.blobs}"))
    wanted = {path: about for path, about in drilled.files.items() if path.startswith(str(site.blobs))}
    assert {path.removeprefix(str(root)): about for path, about in found.items()} == wanted
