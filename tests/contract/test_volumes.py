"""What every kind of volume snapshot must do, on real file systems.

ZFS and LVM have no kernel to run on here: what can be tested of them stands in tests/unit/volumes.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.errors import Interrupted, ToolFailed
from drkit.tools.process import execute, stopping
from drkit.tools.process.command import Command
from drkit.tools.restic.repository import Repository
from drkit.volumes import freeze
from drkit.volumes.choice import Wanted
from tests import filesystems
from tests.apart import apart
from tests.contract.registries import TREE, Case, fill, listing
from tests.e2e import processes
from tests.unit.tools.living import soon

HOST, TAG = "registry.example.com", "drkit"
_CASES = ("btrfs", "btrfs, the top itself", "xfs reflink", "xfs reflink, the top itself", "xfs live")


@pytest.fixture(params=_CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """Every kind that runs here; a registry with ten blobs, owned by others."""
    name, _, where = request.param.partition(", ")
    filesystem, _, wanted = name.partition(" ")
    top: Path = request.getfixturevalue(filesystem)
    if where:
        root = top
    elif filesystem == "btrfs":
        filesystems.make_subvolume(top / "data")
        root = top / "data/registry"
    else:
        root = top / "data/registry"
    fill(root, 10)
    yield Case(wanted or "auto", wanted or "btrfs", root, top, tmp_path / "volumes")
    for path in top.iterdir():
        # A subvolume is removed like a directory.
        shutil.rmtree(path)


def test_the_view_shows_what_was_there_then_and_nothing_stays(case: Case) -> None:
    before = listing(case.root)
    with case.frozen() as view:
        assert view.kind == case.kind
        assert listing(case.root, view.mounts) == before
        assert filesystems.mounts_below(case.state) == [], "mounts are for the reading command alone"
        assert bool(filesystems.left(case.top)) is (view.kind != "live")
        assert len(freeze.records(case.state)) == (view.kind != "live")
        victim = next(case.root.glob(f"{TREE}/blobs/sha256/*/*"))
        shutil.rmtree(victim)
        fill(case.root, 3, seed=1)
        after = listing(case.root)
        assert after != before
        assert listing(case.root, view.mounts) == (after if case.kind == "live" else before)
    assert view.warnings == []
    assert case.left() == []
    assert listing(case.root) == after, "production is what it was"


def test_nothing_stays_after_an_error(case: Case) -> None:
    with pytest.raises(ToolFailed, match="restic failed"), case.frozen():
        raise ToolFailed("restic failed")
    assert case.left() == []


def test_nothing_stays_after_an_interruption(case: Case) -> None:
    """Then no process may be started any more, but for those that tidy up."""
    apart(interrupt, case)
    assert case.left() == []


def interrupt(case: Case) -> None:
    with pytest.raises(Interrupted), case.frozen():
        start_after_that()


def start_after_that() -> None:
    stopping.stop_all()
    execute.run(Command(("true",)))


def wait_for(case: Case, seconds: float | None) -> None:
    """So long, or until the snapshot is there."""
    deadline = time.monotonic() + (60 if seconds is None else seconds)
    while time.monotonic() < deadline:
        if seconds is None and (case.kind == "live" or filesystems.left(case.top)):
            return
        time.sleep(0.01)


def at_work(case: Case) -> list[processes.Process]:
    """Who makes, mounts or removes the snapshot at this moment."""
    return [one for one in processes.everybody() if case.place.name.encode() in one.arguments]


def test_a_kill_leaves_nothing_after_the_next_sweep(case: Case) -> None:
    swept = 0
    for seconds in (0.0, 0.02, 0.05, 0.1, None):
        child = os.fork()
        if child == 0:
            with case.frozen() as view:
                execute.run(Command(("sleep", "60"), mounts=view.mounts))
            os._exit(0)
        wait_for(case, seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # What it has started dies with it, but not in the middle of what the kernel does for it.
        assert soon(lambda: not at_work(case)), "nothing goes on"
        there = bool(filesystems.left(case.top))
        said = freeze.sweep(case.state)
        assert case.left() == []
        if there:
            assert said == (f"removed the {case.kind} snapshot {case.place.name} that a killed run left",)
            swept += 1
    assert swept or case.kind == "live"


@pytest.mark.slow
def test_restic_reads_only_what_is_new(case: Case, repository: Repository) -> None:
    """Of 102 blobs two are new; also after a live run, and in a live run afterwards."""
    fill(case.root, 90, seed=2)

    def save(wanted: Wanted) -> tuple[int, int, int]:
        with case.frozen(wanted) as view:
            saved = repository.save_directory(
                case.root,
                [TAG],
                HOST,
                excludes=(f"{case.root}/{TREE}/repositories/**/_uploads", f"{case.root}/.drkit-*"),
                mounts=view.mounts,
                same_files=view.same_files,
            )
        return saved.files, saved.unmodified, saved.added_bytes

    # A copy has inode numbers of its own, other ones each time, and restic stores them with the directories.
    copied = case.kind == "reflink"
    metadata = 200_000 if copied else 50_000
    files, unmodified, _ = save("live")
    assert (files, unmodified) == (200, 0)
    fill(case.root, 2, seed=3)
    files, unmodified, added = save(case.wanted)
    assert (files, unmodified) == (204, 200)
    assert added < 2 * 50_000 + metadata, "the blobs, and what directories need"
    files, unmodified, added = save(case.wanted)
    assert (files, unmodified) == (204, 204)
    assert added < (metadata if copied else 5_000)
    files, unmodified, _ = save("live")
    assert (files, unmodified) == (204, 0 if copied else 204), "after copies everything is read once"


def test_owners_modes_and_times_come_back(case: Case, repository: Repository, tmp_path: Path) -> None:
    with case.frozen() as view:
        excludes = (f"{case.root}/{TREE}/repositories/**/_uploads", f"{case.root}/.drkit-*")
        saved = repository.save_directory(case.root, [TAG], HOST, excludes=excludes, mounts=view.mounts)
    (snapshot,) = repository.snapshots(TAG)
    assert snapshot.paths == (str(case.root),), "the path is the directory's own"
    repository.restore(f"{saved.snapshot}:{case.root}", tmp_path / "back")
    assert listing(tmp_path / "back") == listing(case.root)
    assert not list(tmp_path.glob("back/**/_uploads"))
