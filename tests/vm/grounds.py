"""What a registry can stand on in this machine, made on its two empty disks and taken away again."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.commands import wait_for

LVM_DISK, ZFS_DISK = "/dev/vdc", "/dev/vdd"
# Hyphens are doubled in the names of device nodes.
GROUP, POOL = "vg-drkit", "tank"


@dataclass(frozen=True)
class Ground:
    """A mounted file system: what drkit should find it to be, and what is asked for its snapshots."""

    top: Path
    kind: str
    wanted: str
    snapshots: Callable[[], list[str]]

    @property
    def root(self) -> Path:
        """The registry's root directory."""
        return self.top / "data/registry"


def run(*words: str) -> str:
    """Run a program that must go well; what it says."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def lvm_snapshots() -> list[str]:
    """drkit's logical volumes."""
    names = run("lvs", "--noheadings", "--options", "lv_name", GROUP).split()
    return [name for name in names if name.startswith("drkit-")]


def zfs_snapshots() -> list[str]:
    """drkit's snapshots, and what was made of them."""
    names = run("zfs", "list", "-H", "-t", "all", "-o", "name").splitlines()
    return [name for name in names if "drkit-" in name]


@contextlib.contextmanager
def group(*, megabytes: int | None = None) -> Iterator[None]:
    """A volume group on the disk, or on so much of it."""
    size = ("--setphysicalvolumesize", f"{megabytes}M") if megabytes else ()
    run("pvcreate", "--yes", "--quiet", *size, LVM_DISK)
    run("vgcreate", "--quiet", GROUP, LVM_DISK)
    try:
        yield
    finally:
        run("vgremove", "--yes", "--quiet", "--force", GROUP)
        run("pvremove", "--yes", "--quiet", LVM_DISK)
        run("wipefs", "--all", "--quiet", LVM_DISK)


def volume(size: str = "1004M", name: str = "da-ta") -> str:
    """A classic logical volume of a size whose fifth is no whole number of sectors; its device."""
    run("lvcreate", "--quiet", "--yes", "--size", size, "--name", name, GROUP)
    return f"/dev/{GROUP}/{name}"


def thin_volume(pool_size: str = "2G", size: str = "1G") -> str:
    """A thin logical volume in a pool of its own."""
    run("lvcreate", "--quiet", "--yes", "--type", "thin-pool", "--size", pool_size, "--name", "pool", GROUP)
    run(
        "lvcreate", "--quiet", "--yes", "--type", "thin", "--virtualsize", size, "--thinpool", "pool",
        "--name", "da-ta", GROUP,
    )  # fmt: skip
    return f"/dev/{GROUP}/da-ta"


@contextlib.contextmanager
def mounted(device: str, fstype: str, top: Path) -> Iterator[None]:
    """A new file system on a device."""
    run(f"mkfs.{fstype}", "-q", *(("-f",) if fstype == "xfs" else ("-F",)), device)
    top.mkdir(exist_ok=True)
    run("mount", "-t", fstype, device, str(top))
    try:
        yield
    finally:
        unmount(top)


def unmount(top: Path) -> None:
    """Who was killed in there may take a moment to be gone."""

    def gone() -> bool:
        return subprocess.run(["umount", str(top)], capture_output=True, check=False).returncode == 0

    wait_for(gone, f"{top} can be unmounted", seconds=30)


@contextlib.contextmanager
def on_lvm(top: Path, fstype: str, make: Callable[[], str] = volume) -> Iterator[Ground]:
    """A file system on a logical volume."""
    with group(), mounted(make(), fstype, top):
        yield Ground(top, "lvm", "lvm", lvm_snapshots)


@contextlib.contextmanager
def pool(top: Path) -> Iterator[None]:
    """A pool on the other disk, its own dataset mounted at `top`."""
    run("zpool", "create", "-f", "-o", "autotrim=on", "-m", str(top), POOL, ZFS_DISK)
    try:
        yield
    finally:
        run("zpool", "destroy", "-f", POOL)


@contextlib.contextmanager
def on_zfs(top: Path) -> Iterator[Ground]:
    """One dataset."""
    with pool(top):
        run("zfs", "create", f"{POOL}/data")
        yield Ground(top, "zfs", "zfs", zfs_snapshots)


@contextlib.contextmanager
def on_children(top: Path) -> Iterator[Ground]:
    """A registry's directory with datasets below it, one of them from somewhere else in the pool.

    Uploads and blobs stay in one of them: a registry renames the ones to the others.
    """
    with on_zfs(top) as ground:
        run("zfs", "create", "-p", f"{POOL}/data/registry")
        run("zfs", "create", f"{POOL}/data/registry/docker")
        run("zfs", "create", "-o", f"mountpoint={ground.root}/docker/registry/v2", f"{POOL}/elsewhere")
        # Nothing of these is in the registry's directory.
        run("zfs", "create", "-o", "canmount=off", f"{POOL}/data/registry/off")
        run("zfs", "create", "-V", "64M", f"{POOL}/data/registry/disk")
        yield ground


@contextlib.contextmanager
def on_zvol(top: Path, fstype: str) -> Iterator[Ground]:
    """A file system on a volume of ZFS."""
    with pool(top.with_name(f"{top.name}-pool")):
        run("zfs", "create", "-s", "-V", "2G", f"{POOL}/vol")
        device = f"/dev/zvol/{POOL}/vol"
        wait_for(Path(device).exists, f"{device} is there", seconds=30)
        with mounted(device, fstype, top):
            yield Ground(top, "zvol", "zfs", zfs_snapshots)


KINDS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Ground]]] = {
    "classic-ext4": lambda top: on_lvm(top, "ext4"),
    "classic-xfs": lambda top: on_lvm(top, "xfs"),
    "thin-ext4": lambda top: on_lvm(top, "ext4", thin_volume),
    "thin-xfs": lambda top: on_lvm(top, "xfs", thin_volume),
    "zfs": on_zfs,
    "children": on_children,
    "zvol-ext4": lambda top: on_zvol(top, "ext4"),
    "zvol-xfs": lambda top: on_zvol(top, "xfs"),
}
