"""What findmnt says, as util-linux 2.38 said it on a real machine."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest

from drkit.errors import CannotFreeze, ToolFailed
from drkit.volumes import standing, zfs
from drkit.volumes.choice import natural, refuse
from drkit.volumes.standing import Mount, Standing

_BIND_MOUNT_OF_SUBVOLUME = """
{
   "filesystems": [
      {
         "target": "/data",
         "source": "/dev/loop0",
         "fsroot": "/@data",
         "fstype": "btrfs",
         "maj:min": "0:45"
      }
   ]
}
"""


def every(*targets: str) -> str:
    more = {"source": "/dev/sdb1", "fsroot": "/", "fstype": "ext4"}
    return json.dumps({"filesystems": [{"target": target, **more} for target in targets]})


def test_a_directory_below_a_mount() -> None:
    found = standing.parse(_BIND_MOUNT_OF_SUBVOLUME, every("/", "/data"), Path("/data/registry"))
    assert found == Standing(
        Path("/data/registry"), "btrfs", "/dev/loop0", PurePosixPath("/@data/registry"), (), "0:45"
    )


def test_a_directory_that_is_a_mount_point() -> None:
    found = standing.parse(_BIND_MOUNT_OF_SUBVOLUME, every("/", "/data"), Path("/data"))
    assert (found.inside, found.below) == (PurePosixPath("/@data"), ())


def test_a_mount_that_systemds_sandbox_has_mounted_over_itself() -> None:
    once = json.loads(_BIND_MOUNT_OF_SUBVOLUME)["filesystems"]
    twice = json.dumps({"filesystems": once * 2})
    assert standing.parse(twice, every("/data", "/data"), Path("/data")).source == "/dev/loop0"
    another = json.dumps({"filesystems": [*once, {**once[0], "source": "/dev/loop1"}]})
    with pytest.raises(ToolFailed, match="does not say"):
        standing.parse(another, every("/data", "/data"), Path("/data"))


def test_mounts_further_down_and_their_likes() -> None:
    mounts = every(
        "/", "/data", "/data/registry", "/data/registry/a b", "/data/registry-2", "/data/registry/c/d"
    )
    found = standing.parse(_BIND_MOUNT_OF_SUBVOLUME, mounts, Path("/data/registry"))
    assert [mount.target for mount in found.below] == ["/data/registry/a b", "/data/registry/c/d"]


def test_of_two_mounts_at_one_place_the_later_is_seen() -> None:
    mounts = json.loads(every("/data/x", "/data/x"))
    mounts["filesystems"][1]["source"] = "/dev/sdc1"
    found = standing.parse(_BIND_MOUNT_OF_SUBVOLUME, json.dumps(mounts), Path("/data"))
    assert found.below == (Mount("/data/x", "ext4", "/dev/sdc1", "/"),)


@pytest.mark.parametrize("text", ["", "[]", '{"filesystems": []}', '{"other": 1}'])
def test_an_answer_that_is_none(text: str) -> None:
    with pytest.raises(ToolFailed, match="findmnt"):
        standing.parse(text, every("/"), Path("/data"))


def stands_on(fstype: str, *below: Mount, source: str = "/dev/sda1") -> Standing:
    return Standing(Path("/data"), fstype, source, PurePosixPath("/"), below)


def test_each_file_system_has_its_own_kind() -> None:
    kinds = {fs: natural(stands_on(fs), logical=False) for fs in ("btrfs", "zfs", "xfs", "ext4", "nfs4")}
    assert kinds == {"btrfs": "btrfs", "zfs": "zfs", "xfs": None, "ext4": None, "nfs4": None}
    assert natural(stands_on("xfs"), logical=True) == "lvm"
    assert natural(stands_on("btrfs"), logical=True) == "btrfs", "the nearer one"
    on_zvol = {
        name: natural(stands_on("ext4", source=name), logical=False)
        for name in ("/dev/zd0", "/dev/zd16", "/dev/zd0p1", "tank/zd0")
    }
    assert on_zvol == {"/dev/zd0": "zvol", "/dev/zd16": "zvol", "/dev/zd0p1": None, "tank/zd0": None}


def test_only_root_freezes() -> None:
    refuse(stands_on("btrfs"), "btrfs", root=True)
    with pytest.raises(CannotFreeze, match="only root may freeze a directory and mount the snapshot"):
        refuse(stands_on("btrfs"), "btrfs", root=False)


def test_nothing_may_be_mounted_below() -> None:
    with pytest.raises(CannotFreeze, match=r"another file system is mounted below it.*: /data/x"):
        refuse(stands_on("btrfs", EXT4), "btrfs", root=True)


EXT4 = Mount("/data/x", "ext4", "/dev/sdb1", "/")
CHILD = Mount("/data/x", "zfs", "tank/data/x", "/")
ELSEWHERE = Mount("/data/y", "zfs", "tank/other", "/")


def test_below_zfs_there_may_be_datasets_of_its_pool() -> None:
    """And what somebody looks into below `.zfs`, which is mounted there for some minutes."""
    looked_into = Mount("/data/.zfs/snapshot/daily", "zfs", "tank/data@daily", "/")
    found = stands_on("zfs", looked_into, CHILD, ELSEWHERE, source="tank/data")
    refuse(found, "zfs", root=True)
    assert zfs.children(found) == (CHILD, ELSEWHERE)


@pytest.mark.parametrize(
    "foreign",
    [
        EXT4,
        Mount("/data/x", "zfs", "tank2/x", "/"),
        Mount("/data/x", "zfs", "tank/x", "/part"),
        Mount("/data/x", "zfs", "tank/data@daily", "/"),
    ],
)
def test_below_zfs_nothing_else_may_be_mounted(foreign: Mount) -> None:
    found = stands_on("zfs", ELSEWHERE, foreign, source="tank/data")
    with pytest.raises(CannotFreeze, match=r"another file system is mounted below it.*: /data/x"):
        refuse(found, "zfs", root=True)
    with pytest.raises(CannotFreeze, match=r"another file system is mounted below it"):
        refuse(stands_on("xfs", CHILD), "lvm", root=True)
