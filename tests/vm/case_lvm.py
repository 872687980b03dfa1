"""LVM at its limits: snapshots and pools without room, and no udev."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from drkit.errors import ConfigError, ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.volumes import freeze
from drkit.volumes.freeze import Place
from tests.e2e.commands import Drkit, assert_error, exactly, finish
from tests.vm.case_freezing import nothing_left, seen, somewhere, write
from tests.vm.grounds import GROUP, Ground, group, lvm_snapshots, mounted, run, thin_volume, volume
from tests.vm.report import say
from tests.vm.standing import fill, registry_on

_FULL = rf"the LVM snapshot {GROUP}/drkit-[^ ]+ filled up while it was read"
_MEGABYTE = 1 << 20
# Settings of a machine's own, and what they are where there is no udev: LVM makes nodes and links itself.
_LOCAL = Path("/etc/lvm/lvmlocal.conf")
_ALONE = """\
activation { udev_sync = 0 udev_rules = 0 verify_udev_operations = 1 }
devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" }
"""


def on(top: Path) -> Ground:
    return Ground(top, "lvm", "lvm", lvm_snapshots)


def overflow(top: Path) -> None:
    """More than the 80 megabytes that a snapshot of 400 gets."""
    fill(top / "more", 150 * _MEGABYTE)
    listed = run("lvs", "--noheadings", "--options", "lv_name,lv_attr", GROUP).splitlines()
    (state,) = [line.split()[1] for line in listed if line.split()[0].startswith("drkit-")]
    assert state[4] == "I"


def test_a_backup_whose_snapshot_fills_up(place: Path, prepared: Drkit) -> None:
    top = place / "full"
    with (
        group(megabytes=500),
        mounted(volume("400M"), "ext4", top),
        registry_on(on(top), place, prepared) as standing,
    ):
        drkit = standing.drkit()
        gate = standing.frozen(drkit)
        process = gate.drkit.start("backup", "--json")
        gate.wait(process)
        overflow(top)
        gate.open()
        ended = finish(process)
        assert ended.code == 3
        hint = exactly(f"leave more space free in the volume group {GROUP}, or set volume to live")
        assert_error(ended, "backup_incomplete", f"no recovery point was sealed: blobs: {_FULL}", hint)
        assert drkit.sealed() == []
        standing.nothing_left(drkit)


@pytest.mark.parametrize("fstype", ["ext4", "xfs"])
@pytest.mark.parametrize("when", ["before it is read", "after that"])
def test_a_snapshot_that_fills_up(place: Path, fstype: str, when: str) -> None:
    """What was read of it never counts, with or without an error of the reader's own."""
    top = place / "over"
    with group(megabytes=500), mounted(volume("400M"), fstype, top):
        ground, where = on(top), somewhere(place, "over")
        write(ground.root, "before", 50)
        with pytest.raises(ToolFailed, match=_FULL):
            read_and_overflow(ground, where, when)
        nothing_left(ground, where)


def read_and_overflow(ground: Ground, where: Place, when: str) -> None:
    with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
        if when == "after that":
            seen(ground.root, view)
        overflow(ground.top)
        if when == "before it is read":
            seen(ground.root, view)


def test_a_group_without_room(place: Path) -> None:
    top = place / "none"
    said = f"the volume group {GROUP} has no space free for a snapshot"
    with group(megabytes=260), mounted(volume("248M"), "ext4", top):
        ground, where = on(top), somewhere(place, "none")
        write(ground.root, "before", 10)
        with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
            assert view.kind == "live"
            assert view.warnings == [f"{ground.root} was not frozen by lvm: {said}"]
        with (
            pytest.raises(ConfigError, match=said),
            freeze.frozen(ground.root, "lvm", where, lambda _, names: names),
        ):
            pass
        nothing_left(ground, where)


@pytest.mark.parametrize("fstype", ["ext4", "xfs"])
def test_a_thin_pool_that_is_full(place: Path, fstype: str) -> None:
    """What was frozen before is whole or cannot be mounted; the next is read live, and says so."""
    top = place / "pool"
    with group(), mounted(thin_volume("400M"), fstype, top):
        # Not to wait a minute for somebody who makes room.
        run("lvchange", "--errorwhenfull", "y", f"{GROUP}/pool")
        ground, where = on(top), somewhere(place, "pool")
        write(ground.root, "before", 50)
        there = seen(ground.root)
        with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
            subprocess.run(
                ["dd", "if=/dev/urandom", f"of={top}/more", "bs=1M", "count=600", "conv=fsync"],
                capture_output=True,
                check=False,
            )
            used = run("lvs", "--noheadings", "--options", "data_percent", f"{GROUP}/pool")
            assert float(used) > 99
            if fstype == "xfs":
                # To mount it XFS writes to it, and whoever reads mounts it anew.
                with pytest.raises(ToolFailed, match="No space left on device"):
                    seen(ground.root, view)
            else:
                assert seen(ground.root, view) == there
        nothing_left(ground, where)
        with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
            assert view.kind == "live"
            (warning,) = view.warnings
            assert f"the thin pool {GROUP}/pool is full" in warning
            say(warning)
        nothing_left(ground, where)


@pytest.mark.parametrize("make", [volume, thin_volume])
def test_without_udev(place: Path, make: Callable[[], str]) -> None:
    """LVM makes its own nodes: none of them is a link to the kernel's name of the device."""
    top = place / "bare"
    run("udevadm", "control", "--exit")
    _LOCAL.write_text(_ALONE)
    try:
        with group(), mounted(make(), "ext4", top):
            node = Path("/dev/mapper", f"{GROUP.replace('-', '--')}-da--ta")
            assert node.is_block_device()
            assert not node.is_symlink()
            ground, where = on(top), somewhere(place, "bare")
            write(ground.root, "before", 50)
            there = seen(ground.root)
            with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
                assert (view.kind, view.warnings) == ("lvm", [])
                write(ground.root, "later", 10)
                assert seen(ground.root, view) == there
            nothing_left(ground, where)
    finally:
        _LOCAL.unlink()
        execute.check(Command(("/lib/systemd/systemd-udevd", "--daemon")))
