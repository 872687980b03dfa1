"""A repository, a database or a disk that does not do what it should: what is said, and what stays whole."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e import gates
from tests.e2e.commands import Drkit, assert_error, exactly, fails, finish
from tests.e2e.repositories import checking, locks
from tests.e2e.test_bad_input import only, set_in
from tests.inbox import Inbox

# The repository


def test_wrong_repository_password(fresh: Drkit) -> None:
    fresh.restic_password.write_text("not the password\n")
    message = exactly(
        f"the repository {fresh.repository} does not open with the password in {fresh.restic_password}"
    )
    hint = "look for the password that was written down when the repository was made"
    fails(fresh, ["backup"], 12, "repository_refused", message, hint)


def test_no_repository(fresh: Drkit) -> None:
    shutil.rmtree(fresh.repository)
    message = exactly(f"there is no restic repository at {fresh.repository}")
    hint = "make it with `drkit init`, or see that the disk or network is there"
    fails(fresh, ["points"], 10, "repository_missing", message, hint)
    fails(fresh, ["backup"], 10, "repository_missing", message, hint)
    assert not fresh.repository.exists()


def test_no_password_file(fresh: Drkit) -> None:
    fresh.restic_password.unlink()
    message = exactly(f"cannot read the repository's password file {fresh.restic_password}")
    fails(fresh, ["backup"], 4, "config_error", message, exactly("see password_file in [[repository]]"))


def test_locked_repository(copy: Drkit) -> None:
    """A backup waits as long as it is told to, then says who has it; also where nobody sees the owner."""
    copy.change(only("secrets"))
    copy.change(set_in("repository", lock_wait="2s"))
    where = exactly(f"holds a lock on {copy.repository}, and still did after 0:00:02")
    message = rf"another restic \(process \d+ on \S+, [\dhm.]+s old\) {where}"
    hint = "wait for it to end; if it is surely dead, run `restic unlock` on its host"
    with checking(copy):
        started = time.monotonic()
        fails(copy, ["backup"], 11, "repository_locked", message, hint)
        assert time.monotonic() - started > 2
        assert len(copy.points()) == 1, "looking needs no lock"
    fails(copy, ["backup"], 11, "repository_locked", message, hint)
    assert len(locks(copy)) == 1, "it may be another container's of the same name"


# The sources


def test_unreachable_database(copy: Drkit) -> None:
    """The other sources are captured all the same, but the point is never offered."""
    sealed = copy.sealed()[0]
    copy.change(set_in("database", dsn="host=127.0.0.1 port=1 user=postgres dbname=registry"))
    ended = copy.run("backup", "--json")
    assert ended.code == 3
    reason = "cannot connect to registry at 127.0.0.1:1: Connection refused"
    message = f"no recovery point was sealed: database registry: {reason}"
    hint = "see that it runs and that dsn, user and password_file are right"
    assert_error(ended, "backup_incomplete", message, hint)
    result = ended.envelope["result"]
    assert result["status"] == "incomplete"
    assert {"blobs", "secrets"} <= {part["kind"] for part in result["parts"]}
    assert {point["id"]: point["status"] for point in copy.points()} == {
        result["id"]: "incomplete",
        sealed: "sealed",
    }
    assert_never_restored(copy, result["id"], sealed)


def assert_never_restored(drkit: Drkit, incomplete: str, sealed: str) -> None:
    """No verb takes the incomplete point; `latest` passes it over, and a prefix that fits both is refused."""
    message = exactly(f"recovery point {incomplete} is incomplete and is never restored")
    hint = exactly(f"the newest sealed one is {sealed}")
    fails(drkit, ["restore", incomplete], 4, "no_such_point", message, hint)
    for verb in ("show", "drill"):
        assert_error(drkit.run(verb, incomplete, "--json"), "no_such_point", message, hint)
    assert drkit.ask("show", "latest")["id"] == sealed
    hint = exactly(f"say which: {incomplete}, {sealed}")
    fails(drkit, ["show", "2"], 4, "no_such_point", exactly('"2" could be 2 recovery points'), hint)


def test_wrong_database_password(fresh: Drkit) -> None:
    fresh.change(only("database"))
    (fresh.home / "database.password").write_text("not the password\n")
    message = (
        "no recovery point was sealed: database registry: cannot connect to registry at 127.0.0.1:[0-9]+: "
        'password authentication failed for user "postgres"'
    )
    hint = "see that it runs and that dsn, user and password_file are right"
    fails(fresh, ["backup"], 3, "backup_incomplete", message, hint)


def test_no_database_password_file(fresh: Drkit) -> None:
    fresh.change(only("database"))
    fresh.change(set_in("database", password_file="/nowhere"))
    message = "cannot read the password file /nowhere: .*"
    fails(fresh, ["backup"], 4, "config_error", message, "see password_file")


def test_missing_blob_directory(fresh: Drkit) -> None:
    fresh.change(only("blobs"))
    fresh.change(set_in("blobs", path="/nowhere"))
    message = "no recovery point was sealed: blobs: there is no blob directory /nowhere"
    hint = exactly("see path in [blobs]; is the volume mounted?")
    fails(fresh, ["backup"], 3, "backup_incomplete", message, hint)


def test_blob_directory_of_another_kind(fresh: Drkit) -> None:
    """An empty mount point must not become an empty backup."""
    fresh.change(only("blobs"))
    fresh.change(set_in("blobs", path=str(fresh.home)))
    message = f"no recovery point was sealed: blobs: {fresh.home} holds no registry: there is no docker/.*"
    fails(fresh, ["backup"], 3, "backup_incomplete", message, "path in .* is the registry's root .*")


def test_missing_secret(fresh: Drkit) -> None:
    fresh.change(only("secrets"))
    fresh.change(lambda document: document["secrets"]["paths"].append("/nowhere/server.key"))
    message = "no recovery point was sealed: secrets: there is no /nowhere/server.key"
    hint = exactly("see paths in [secrets]; a key that was moved is not backed up")
    fails(fresh, ["backup"], 3, "backup_incomplete", message, hint)


# The disk

ROOM = "make room on that disk; where the repository is on it, `drkit expire` may do so"


@pytest.fixture
def small_disk(root_only: None, place: Path) -> Iterator[Path]:
    """A file system of a few megabytes more than drkit wants to see free."""
    where = place / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)
    where.rmdir()


def test_disk_that_fills_up_during_a_backup(copy: Drkit, small_disk: Path) -> None:
    """Nothing is sealed; with room again, the next run succeeds and takes away what the failed one stored."""
    copy.repository.rename(copy.home / "old")
    shutil.copytree(copy.home / "old", small_disk / "repo")
    copy.change(set_in("repository", url=str(small_disk / "repo")))
    big = copy.home / "big"
    big.write_bytes(os.urandom(80 << 20))
    copy.change(only("secrets"))
    copy.change(set_in("secrets", paths=[str(big)]))
    ended = copy.run("backup", "--json")
    assert ended.code == 3
    message = "no recovery point was sealed: seal: restic .*no space left on device.*"
    hint = "the disk of the repository or of the cache is full; `drkit expire` makes room"
    assert_error(ended, "backup_incomplete", message, hint)
    assert len(copy.sealed()) == 1

    big.write_bytes(b"small")
    full = exactly(f"the disk of {small_disk}/repo is full: less than 64 MiB are free")
    fails(copy, ["backup"], 7, "tool_failed", full, ROOM)

    copy.ask("expire")
    assert copy.ask("backup")["status"] == "sealed"
    assert [point["status"] for point in copy.points()] == ["sealed", "sealed"]
    copy.ask("verify", "--read-data-subset", "100%")


def test_state_directory_on_a_full_disk(copy: Drkit, small_disk: Path) -> None:
    """It is red before a backup refuses; what is needed on the day works all the same, and soon."""
    copy.change(only("secrets"))
    shutil.copytree(copy.state, small_disk / "state")
    # Without what was learnt before: everything has to be read from the repository.
    for name in ("cache", "catalog"):
        shutil.rmtree(small_disk / "state" / name)
    copy.change(set_in("site", state=str(small_disk / "state")))
    with contextlib.suppress(OSError), (small_disk / "filling").open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    full = exactly(f"the disk of {small_disk}/state is full: less than 64 MiB are free")
    with Inbox() as inbox:
        address = f"json://127.0.0.1:{inbox.port}/"
        copy.change(lambda document: document.setdefault("notify", {}).update(urls=[address]))
        fails(copy, ["backup"], 7, "tool_failed", full, ROOM)
    # Each time, for that it was told cannot be written down.
    assert inbox.titles
    for said in inbox.bodies:
        assert re.search("RED: the last backup .* failed: the disk of .*/state is full", said), said
    told = copy.run("status", "--json")
    assert told.code == 5
    assert [each for each in told.envelope["result"]["problems"] if re.search(full, each)], told.stdout
    assert copy.run("doctor").code == 7
    point = copy.sealed()[0]
    assert (
        copy.run("restore", point, "--only", "secrets", "--root", str(copy.home / "back"), "--yes").code == 0
    )
    for words in (["expire"], ["verify"], ["drill"]):
        ended = copy.run(*words, "--json")
        assert ended.code in (0, 4, 6, 7), ended
        assert "a bug in drkit" not in ended.stdout + ended.stderr
    (small_disk / "filling").unlink()
    trail = copy.run("trail", "--json")
    assert trail.code == 0, "what a full disk has cut off of a line is known, and no fault"
    trail_file = small_disk / "state" / "trail.jsonl"
    trail_file.write_bytes(
        trail_file.read_bytes().replace(b'"outcome":"succeeded"', b'"outcome":"failed"', 1)
    )
    changed = copy.run("trail", "--json")
    assert changed.code == 5
    first, *of_points = changed.envelope["result"]["faults"]
    assert re.fullmatch(r"trail\.jsonl:\d+", first["place"])
    assert "does not follow from what stands before it" in first["said"]
    assert all(point in each["said"] for each in of_points)
    found = copy.run("doctor", "--json").envelope["result"]["findings"]
    assert "problem" in [each["state"] for each in found if each["name"] == "audit trail"]
    assert copy.run("trail", "--confirm").code == 0


def test_lock_of_a_second_backup(copy: Drkit) -> None:
    """A second run waits as long as it is told to, then says who holds the site."""
    copy.change(only("database"))
    copy.change(set_in("site", lock_wait="1s"))
    gate = gates.site_locked(copy)
    first = gate.drkit.start("backup", "--json")
    try:
        gate.wait(first)
        message = f"another drkit works on this site: `drkit backup`, process {first.pid}, since .*"
        hint = exactly("wait for it to end, or raise lock_wait in [site]")
        fails(copy, ["backup"], 7, "site_locked", message, hint)
    finally:
        gate.open()
        ended = finish(first)
    assert ended.code == 0


def reachable(directory: Path) -> Iterator[Path]:
    """What another user comes to, who knows every name."""
    for path in directory.iterdir():
        mode = path.lstat().st_mode
        if mode & (0o006 if path.is_file() else 0o002):
            yield path
        if path.is_dir() and mode & 0o001:
            yield from reachable(path)


@pytest.mark.parametrize("mask", ["000", "077"])
def test_the_callers_umask_makes_no_difference(copy: Drkit, mask: str) -> None:
    """PostgreSQL's user comes into the sandbox all the same, and nobody to what is private."""
    drkit = replace(copy, prefix=("sh", "-c", f'umask {mask}; exec "$@"', "sh"))
    seen = set[Path]()
    process = drkit.start("drill", "--level", "quick", "--json")
    while process.poll() is None:
        with contextlib.suppress(OSError):
            seen.update(reachable(drkit.sandboxes))
        time.sleep(0.05)
    ended = finish(process)
    assert ended.code == 0, ended.stderr
    assert seen == set()
    assert set(reachable(drkit.state)) == set()
