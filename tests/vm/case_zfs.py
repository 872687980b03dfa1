"""ZFS at its limits: no room, other pools, snapshots that somebody else holds, and no udev."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.errors import ConfigError
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.volumes import freeze
from tests.vm.case_freezing import nothing_left, seen, somewhere, write
from tests.vm.grounds import POOL, Ground, on_children, on_zfs, on_zvol, run, zfs_snapshots
from tests.vm.report import say
from tests.vm.standing import fill

_MEGABYTE = 1 << 20


@contextlib.contextmanager
def small_pool(place: Path, name: str, top: Path) -> Iterator[None]:
    """A second pool, in a file."""
    image = place / f"{name}.image"
    with image.open("wb") as file:
        file.truncate(300 * _MEGABYTE)
    run("zpool", "create", "-m", str(top), name, str(image))
    try:
        yield
    finally:
        run("zpool", "destroy", "-f", name)
        image.unlink()


def test_a_pool_without_room(place: Path) -> None:
    top = place / "small"
    with small_pool(place, "small", top):
        ground, where = Ground(top, "zfs", "zfs", zfs_snapshots), somewhere(place, "small")
        write(ground.root, "before", 20)
        assert fill(top / "more", 400 * _MEGABYTE) < 300 * _MEGABYTE
        there = seen(ground.root)
        with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
            say(f"without room: {view.kind}, {view.why}")
            assert len(view.warnings) == {"zfs": 0, "live": 1}[view.kind]
            assert seen(ground.root, view) == there
        nothing_left(ground, where)


def test_a_snapshot_that_somebody_holds(place: Path) -> None:
    with on_children(place / "held") as ground:
        where = somewhere(place, "held")
        write(ground.root, "before", 20)
        with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
            (held,) = [name for name in zfs_snapshots() if name.startswith(f"{POOL}/elsewhere@")]
            run("zfs", "hold", "somebody", held)
        (warning,) = view.warnings
        assert warning.startswith(f"the zfs snapshot {where.name} is still there: ")
        run("zfs", "release", "somebody", held)
        (said,) = freeze.sweep(where.directory)
        assert said.startswith("removed the zfs snapshot drkit-")
        nothing_left(ground, where)


def test_a_dataset_that_is_gone_when_its_snapshot_is_swept(place: Path) -> None:
    with on_children(place / "gone") as ground:
        where = somewhere(place, "gone")
        write(ground.root, "before", 20)
        with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
            run("zfs", "destroy", "-r", f"{POOL}/elsewhere")
        assert view.warnings == []
        nothing_left(ground, where)


def test_a_dataset_of_another_pool_below(place: Path) -> None:
    with on_zfs(place / "two") as ground:
        where, below = somewhere(place, "two"), ground.root / "docker/registry/v2/more"
        write(ground.root, "before", 20)
        with small_pool(place, "other", below):
            said = f"another file system is mounted below it, which a snapshot would leave out: {below}"
            with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
                assert view.kind == "live"
                assert view.warnings == [f"{ground.root} was not frozen by zfs: {said}"]
            with (
                pytest.raises(ConfigError, match="another file system is mounted below it"),
                freeze.frozen(ground.root, "zfs", where, lambda _, names: names),
            ):
                pass


def test_somebody_looks_into_an_older_snapshot(place: Path) -> None:
    """What he looks into is mounted below the directory, for some minutes."""
    with on_children(place / "looked") as ground:
        where = somewhere(place, "looked")
        run("zfs", "snapshot", f"{POOL}/data/registry@older")
        write(ground.root, "before", 20)
        there = seen(ground.root)
        older = ground.root / ".zfs/snapshot/older"
        assert [path.name for path in older.iterdir()] == ["docker"]
        assert str(older) in run("findmnt", "--list", "--output", "TARGET")
        with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
            assert (view.kind, view.warnings) == ("zfs", [])
            assert seen(ground.root, view) == there
        run("umount", str(older))


def test_a_legacy_mount_and_encryption(place: Path) -> None:
    top = place / "legacy"
    with on_zfs(place / "secret"):
        key = place / "key"
        key.write_text("long enough for a key\n")
        run(
            "zfs", "create", "-o", "mountpoint=legacy", "-o", "encryption=on", "-o", "keyformat=passphrase",
            "-o", f"keylocation=file://{key}", f"{POOL}/legacy",
        )  # fmt: skip
        top.mkdir()
        run("mount", "-t", "zfs", f"{POOL}/legacy", str(top))
        ground, where = Ground(top, "zfs", "zfs", zfs_snapshots), somewhere(place, "legacy")
        write(ground.root, "before", 20)
        there = seen(ground.root)
        with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
            assert (view.kind, view.warnings) == ("zfs", [])
            assert seen(ground.root, view) == there
        nothing_left(ground, where)
        run("umount", str(top))


def test_a_volume_without_udev(place: Path) -> None:
    """The links below /dev/zvol are udev's; the devices are the kernel's."""
    with on_zvol(place / "bare-zvol", "ext4") as ground:
        where = somewhere(place, "bare-zvol")
        write(ground.root, "before", 20)
        run("udevadm", "control", "--exit")
        try:
            there = seen(ground.root)
            with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
                assert (view.kind, view.warnings) == ("zvol", [])
                assert not any("drkit-" in path.name for path in Path("/dev/zvol", POOL).iterdir())
                assert seen(ground.root, view) == there
            nothing_left(ground, where)
        finally:
            execute.check(Command(("/lib/systemd/systemd-udevd", "--daemon")))
