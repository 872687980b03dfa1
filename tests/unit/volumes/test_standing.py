"""What findmnt says, as util-linux 2.38 said it on a real machine."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest

from drkit.errors import CannotFreeze, ToolFailed
from drkit.volumes import standing
from drkit.volumes.choice import natural, refuse
from drkit.volumes.standing import Standing

_BIND_MOUNT_OF_SUBVOLUME = """
{
   "filesystems": [
      {
         "target": "/data",
         "source": "/dev/loop0",
         "fsroot": "/@data",
         "fstype": "btrfs"
      }
   ]
}
"""


def every(*targets: str) -> str:
    return json.dumps({"filesystems": [{"target": target} for target in targets]})


def test_a_directory_below_a_mount() -> None:
    found = standing.parse(_BIND_MOUNT_OF_SUBVOLUME, every("/", "/data"), Path("/data/registry"))
    assert found == Standing(
        Path("/data/registry"), "btrfs", "/dev/loop0", PurePosixPath("/@data/registry"), ()
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
    assert found.below == ("/data/registry/a b", "/data/registry/c/d")


@pytest.mark.parametrize("text", ["", "[]", '{"filesystems": []}', '{"other": 1}'])
def test_an_answer_that_is_none(text: str) -> None:
    with pytest.raises(ToolFailed, match="findmnt"):
        standing.parse(text, every("/"), Path("/data"))


def stands_on(fstype: str, *below: str) -> Standing:
    return Standing(Path("/data"), fstype, "/dev/sda1", PurePosixPath("/"), below)


def test_each_file_system_has_its_own_kind() -> None:
    kinds = {fs: natural(stands_on(fs), logical=False) for fs in ("btrfs", "zfs", "xfs", "ext4", "nfs4")}
    assert kinds == {"btrfs": "btrfs", "zfs": "zfs", "xfs": None, "ext4": None, "nfs4": None}
    assert natural(stands_on("xfs"), logical=True) == "lvm"
    assert natural(stands_on("btrfs"), logical=True) == "btrfs", "the nearer one"


def test_only_root_freezes() -> None:
    refuse(stands_on("btrfs"), root=True)
    with pytest.raises(CannotFreeze, match="only root may freeze a directory and mount the snapshot"):
        refuse(stands_on("btrfs"), root=False)


def test_nothing_may_be_mounted_below() -> None:
    with pytest.raises(CannotFreeze, match=r"another file system is mounted below it.*: /data/x"):
        refuse(stands_on("btrfs", "/data/x"), root=True)
