"""What one kind of volume snapshot alone can get wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from drkit.blobs.directory.capture import reading_order
from drkit.errors import ConfigError, Interrupted
from drkit.tools.process import stopping
from drkit.volumes import freeze
from drkit.volumes.choice import Wanted, choose, stray
from drkit.volumes.freeze import frozen
from tests import filesystems
from tests.apart import apart
from tests.contract.registries import TREE, Case, fill, listing


@pytest.fixture
def registry(btrfs: Path, tmp_path: Path) -> Iterator[Case]:
    """A registry in a subvolume of its own."""
    filesystems.make_subvolume(btrfs / "own")
    fill(btrfs / "own/registry", 2)
    yield Case("btrfs", "btrfs", btrfs / "own/registry", btrfs, tmp_path / "volumes")
    for path in btrfs.iterdir():
        shutil.rmtree(path)


def test_a_snapshot_of_something_else_is_not_removed(registry: Case) -> None:
    """The name and the record alone do not make it ours."""
    entry = registry.top / f".{registry.place.name}"
    filesystems.make_subvolume(entry)
    (entry / "precious").write_text("somebody's")
    registry.state.mkdir()
    (registry.state / "top").mkdir()
    with registry.frozen("auto") as view:
        assert view.kind == "live", "its name is taken"
        (warning, *_) = view.warnings
    where = f".{registry.place.name} is already there on {device(registry.top)}"
    assert warning == f"{registry.root} was not frozen by btrfs: {where}"
    assert view.why == where
    assert (entry / "precious").read_text() == "somebody's"
    (said,) = freeze.sweep(registry.state)
    where = f".{registry.place.name} on {device(registry.top)}"
    assert said == (
        f"could not remove the volume snapshot {registry.place.name}: "
        f"{where} is not a snapshot of the recorded subvolume"
    )
    assert (entry / "precious").read_text() == "somebody's"
    assert len(freeze.records(registry.state)) == 1, "it stays in sight"


def device(top: Path) -> str:
    words = ["findmnt", "--json", "--nofsroot", "--output", "SOURCE", "--target", str(top)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    source: str = json.loads(done.stdout)["filesystems"][0]["source"]
    return source


def test_the_subvolume_is_found_behind_a_bind_mount(registry: Case, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", "--bind", str(registry.root), str(elsewhere)], check=True)
    try:
        with frozen(elsewhere, "btrfs", registry.place, reading_order) as view:
            before = listing(elsewhere)
            fill(elsewhere, 1, seed=4)
            assert listing(elsewhere, view.mounts) == before
    finally:
        subprocess.run(["umount", str(elsewhere)], check=True)
    assert registry.left() == []


def test_the_subvolume_is_found_where_it_is_mounted_itself(registry: Case, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ["mount", "-o", "subvol=/own", device(registry.top), str(elsewhere)]
    subprocess.run(words, check=True)
    try:
        root = elsewhere / "registry"
        with frozen(root, "btrfs", registry.place, reading_order) as view:
            assert listing(root, view.mounts) == listing(root)
            assert list(elsewhere.iterdir()) == [root], "the snapshot is not seen among the registry's files"
    finally:
        subprocess.run(["umount", str(elsewhere)], check=True)
    assert registry.left() == []


def refused(case: Case, wanted: Wanted, message: str) -> None:
    """By name it is an error; "auto" reads live, and says why."""
    with pytest.raises(ConfigError, match=message):
        choose(case.root, wanted, case.place.name, case.place.top)
    with case.frozen("auto") as view:
        assert view.kind == "live"
        (warning,) = view.warnings
        assert warning.startswith(f"{case.root} was not frozen by btrfs: ")
    assert case.left() == []


def test_a_subvolume_below_is_noticed(registry: Case) -> None:
    filesystems.make_subvolume(registry.root / TREE / "blobs/sha256/zz")
    registry.place.top.mkdir(parents=True)
    refused(
        registry, "btrfs", "there are subvolumes below it, which a snapshot would leave out: own/registry/"
    )


def test_a_mount_below_is_noticed(registry: Case, tmp_path: Path) -> None:
    other = registry.root / TREE / "blobs/sha256/zz"
    other.mkdir()
    (tmp_path / "other").mkdir()
    registry.place.top.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(tmp_path / "other"), str(other)], check=True)
    try:
        with pytest.raises(ConfigError, match=f"another file system is mounted below it, .*: {other}"):
            choose(registry.root, "btrfs", registry.place.name, registry.place.top)
        with registry.frozen("auto") as view:
            assert view.kind == "live"
    finally:
        subprocess.run(["umount", str(other)], check=True)


def test_who_is_not_root_reads_live_and_is_told(registry: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    registry.place.top.mkdir(parents=True)
    refused(registry, "btrfs", "only root may freeze a directory and mount the snapshot")


def test_a_copy_that_takes_long_is_given_up_when_drkit_is_interrupted(registry: Case) -> None:
    apart(interrupt_a_copy, registry)


def interrupt_a_copy(registry: Case) -> None:
    copied: list[PurePosixPath] = []

    def order(directory: PurePosixPath, names: list[str]) -> list[str]:
        copied.append(directory)
        if len(copied) == 4:
            stopping.stop_all()
        return names

    with pytest.raises(Interrupted), frozen(registry.root, "reflink", registry.place, order):
        pass
    assert len(copied) == 4
    assert registry.left() == []


def test_what_stays_is_counted(registry: Case) -> None:
    registry.place.top.mkdir(parents=True)
    prefix = freeze.prefix("registry.example.com")
    assert stray(registry.root, prefix, registry.place.top) == ()
    with registry.frozen("btrfs"):
        assert stray(registry.root, prefix, registry.place.top) == (f".{registry.place.name}",)
    with registry.frozen("reflink"):
        (found,) = stray(registry.root, prefix, registry.place.top)
        assert found.endswith(f"/.{registry.place.name}")


def test_a_file_system_without_reflinks_is_told(tmp_path: Path) -> None:
    with filesystems.mounted(tmp_path / "fs", "ext4", 64 << 20) as top:
        fill(top / "registry", 1)
        case = Case("auto", "live", top / "registry", top, tmp_path / "volumes")
        with case.frozen() as view:
            assert (view.kind, view.why, view.warnings) == ("live", "ext4 makes no snapshots", [])
        with pytest.raises(
            ConfigError, match=r'volume = "reflink" cannot be used: ext4 makes no reflinks there'
        ):
            choose(case.root, "reflink", case.place.name, case.place.top)
        with pytest.raises(ConfigError, match=r'volume = "btrfs" cannot be used: .* stands on ext4'):
            choose(case.root, "btrfs", case.place.name, case.place.top)
