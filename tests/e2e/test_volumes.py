"""Registries on file systems that freeze: backed up while they are pushed to, killed, restored, drilled."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import testenv
from testenv import Site, registry
from testenv import site as sites
from testenv.push import Pusher
from tests import filesystems
from tests.e2e import accounts, gates, processes
from tests.e2e.commands import Drkit, assert_error, clone, exactly, finish, wait_for
from tests.e2e.conftest import initialise
from tests.e2e.gates import Gate
from tests.e2e.moments import after
from tests.e2e.pushing import push_plain, pushing
from tests.e2e.test_killed import kill_at, kill_when


@pytest.fixture(scope="module")
def on_btrfs(place: Path) -> Iterator[Site]:
    """A whole site in a subvolume."""
    with filesystems.mounted(place / "btrfs", "btrfs", 3 << 30) as top:
        filesystems.make_subvolume(top / "@harbor")
        made = testenv.create(top / "@harbor/site", testenv.TINY)
        yield made
        testenv.destroy(made.root)


@pytest.fixture(scope="module")
def prepared(on_btrfs: Site, new_home: Callable[[], Path]) -> Drkit:
    """A drkit for it with an empty repository, only to be copied."""
    made = Drkit(new_home())
    initialise(made, on_btrfs)
    return made


@pytest.fixture
def drkit(prepared: Drkit, new_home: Callable[[], Path], on_btrfs: Site) -> Iterator[Drkit]:
    """A drkit of the test's own; nothing of it may be left on the file system."""
    made = clone(prepared, new_home())
    yield made
    assert left(on_btrfs) == []
    assert filesystems.mounts_below(made.home) == []
    shutil.rmtree(made.home)


def left(site: Site) -> list[str]:
    return [name for name in filesystems.subvolumes(site.root) if "drkit-" in name]


def records(drkit: Drkit) -> list[Path]:
    return list((drkit.state / "volumes").glob("*.json"))


def test_a_site_on_btrfs_that_is_pushed_to(
    drkit: Drkit, on_btrfs: Site, new_home: Callable[[], Path]
) -> None:
    site = on_btrfs
    with pushing(lambda number: testenv.push_image(site, "library", "busy", f"v{number}")) as pushed:
        wait_for(lambda: pushed, "the first is pushed")
        result = drkit.ask("backup")
    assert (result["status"], result["attempts"], result["warnings"]) == ("sealed", 1, [])
    assert result["volume"]["kind"] == "btrfs"
    assert result["closure"]["missing"] == result["closure"]["size_mismatch"] == 0
    assert drkit.ask("show", "latest")["volume"] == result["volume"]
    assert "frozen by btrfs in " in drkit.run("show", "latest").stdout
    assert drkit.ask("drill")["outcome"] == "passed"

    root = new_home()
    drkit.ask("restore", "latest", "--only", "blobs", "--yes", "--root", str(root))
    there = accounts.files(site.blobs)
    back = {path.removeprefix(str(root)): about for path, about in accounts.files(root).items()}
    below = {
        path: about for path, about in back.items() if path.startswith(f"{site.blobs}/docker/registry/v2/")
    }
    assert len(below) > 200
    assert not any("_uploads" in path for path in below)
    assert_same_files(below, there)


def assert_same_files(back: dict[str, str], there: dict[str, str]) -> None:
    """Mode, time and content of every file; directories have got younger since, by what was pushed.

    The practice site gives what is pushed to Harbor's user a moment later; owners are looked at elsewhere.
    """

    def alike(found: dict[str, str], path: str) -> list[str]:
        mode, _owner, *rest = found[path].split()
        return [mode, *rest]

    files = [path for path, about in back.items() if not about.startswith("d")]
    assert {path: alike(there, path) for path in files} == {path: alike(back, path) for path in files}


def test_doctor_says_what_it_will_be(drkit: Drkit, on_btrfs: Site) -> None:
    def blobs() -> dict[str, Any]:
        (found,) = (f for f in drkit.ask("doctor")["findings"] if f["name"] == "blobs")
        return dict(found)

    detail = f"{on_btrfs.blobs}, frozen by btrfs and then read (volume: btrfs): it is on btrfs, "
    assert blobs()["detail"].startswith(detail)
    drkit.change(lambda document: document["blobs"].update(volume="live"))
    detail = f"{on_btrfs.blobs}, read while the registry runs (volume: live): the configuration says so"
    assert blobs()["detail"] == detail


def test_a_kind_that_cannot_be_had_seals_nothing(drkit: Drkit, on_btrfs: Site) -> None:
    def bare(document: dict[str, Any]) -> None:
        del document["database"], document["secrets"]
        document["blobs"].update(volume="zfs")

    drkit.change(bare)
    message = (
        exactly(f'volume = "zfs" cannot be used: {on_btrfs.blobs} stands on btrfs (') + r"/dev/loop\d+\)"
    )
    ended = drkit.run("backup", "--json")
    assert ended.code == 3
    said = f"no recovery point was sealed: blobs: {message}"
    assert_error(ended, "backup_incomplete", said, "set volume to auto")


def frozen(drkit: Drkit) -> Gate:
    """The volume is frozen, and restic is about to read it."""
    return gates.before(drkit, "--tag=drkit:part:blobs:")


def test_interrupted_while_it_is_frozen(drkit: Drkit, on_btrfs: Site) -> None:
    gate = frozen(drkit)
    process = gate.drkit.start("backup")
    try:
        gate.wait(process)
        assert left(on_btrfs)
        process.send_signal(signal.SIGINT)
    finally:
        ended = finish(process)
    assert ended.code == 130
    assert left(on_btrfs) == []
    assert records(drkit) == []


def test_killed_at_any_moment(drkit: Drkit, on_btrfs: Site) -> None:
    """Each next run removes what the last left, and at the end nothing is there but sealed points."""
    chance = Random(time.time_ns())
    delays = [chance.uniform(0.3, 2.5) for _ in range(3)]
    found = 0
    for delay in [None, *delays]:
        if delay is None:
            kill_at(frozen(drkit), "backup")
        else:
            kill_when(drkit, after(delay), "the time has come", "backup")
        assert processes.survivors(drkit.home) == []
        processes.bury()
        found += bool(left(on_btrfs))
        assert len(left(on_btrfs)) <= 1, f"earlier ones are gone, {delays}"
    assert found, "a snapshot was left at least by the first kill"
    findings = {f["name"]: f["detail"] for f in drkit.ask("doctor")["findings"]}
    # A kill may come between the record and the snapshot: then only the record is left.
    assert ("volume snapshots" in findings) is bool(records(drkit))
    assert records(drkit) or not left(on_btrfs), "no snapshot without a record"
    expected = bool(left(on_btrfs))
    result = drkit.ask("backup")
    said = " / ".join(result["swept"])
    assert ("removed the btrfs snapshot drkit-registry.example.test-" in said) is expected
    assert records(drkit) == []


# A plain registry, without a database, on XFS


@pytest.fixture
def on_xfs(place: Path) -> Iterator[tuple[Path, int]]:
    """The root directory of a registry that runs, and its port."""
    with filesystems.mounted(place / "xfs", "xfs") as top:
        for directory in ("log", "run"):
            (place / "xfs" / directory).mkdir()
        ports: list[int] = []

        def start(port: int) -> None:
            registry.start(place / "xfs", top / "registry", port)
            ports.append(port)

        sites.on_free_port(start)
        yield top / "registry", ports[-1]
        registry.stop(place / "xfs")


def test_a_plain_registry_on_xfs_that_is_pushed_to(
    empty: Drkit, on_xfs: tuple[Path, int], new_home: Callable[[], Path]
) -> None:
    root, port = on_xfs
    drkit = clone(empty, new_home())

    def plain(document: dict[str, Any]) -> None:
        del document["database"], document["secrets"]
        document["blobs"].update(path=str(root), volume="reflink")

    drkit.change(plain)
    with Pusher(f"http://127.0.0.1:{port}") as pusher:
        with pushing(lambda number: push_plain(pusher, number)) as pushed:
            wait_for(lambda: len(pushed) > 20, "some are pushed")
            result = drkit.ask("backup")
            before = len(pushed)
        assert (result["status"], result["attempts"]) == ("sealed", 1)
        assert result["volume"]["kind"] == "reflink"
        assert result["closure"]["referenced"] == result["closure"]["present"] > 60
        # The same live: where the first attempt is torn, the next holds the links.
        drkit.change(lambda document: document["blobs"].update(volume="auto"))
        with pushing(lambda number: push_plain(pusher, 10_000 + number)):
            live = [drkit.ask("backup") for _ in range(2)]
    for found in live:
        assert (found["status"], found["volume"]["kind"]) == ("sealed", "live")
        assert found["closure"]["missing"] == 0
    assert before > 20
    assert filesystems.left(root.parent) == []
    assert drkit.ask("drill", result["id"])["outcome"] == "passed"
    target = new_home()
    drkit.ask("restore", result["id"], "--yes", "--root", str(target))
    back = {path.removeprefix(str(target)): about for path, about in accounts.files(target).items()}
    now = accounts.files(root)
    assert len(back) > 200
    assert_same_files(back, now)
