"""The machine's disk, kernel and initrd, made of the packages of this host's own suite; kept in a cache.

ZFS's module is built here, in the directory that becomes the disk, for the kernel that will run there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testenv.engine_image import own_release
from testenv.processes import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

_HERE = Path(__file__).parent
_PACKAGES = (
    # The cloud kernel has LVM's modules and those of virtual disks, and is a quarter of the size.
    "linux-image-cloud-amd64", "linux-headers-cloud-amd64", "initramfs-tools",
    "zfs-dkms", "zfsutils-linux", "lvm2", "thin-provisioning-tools", "dmsetup",
    "xfsprogs", "e2fsprogs", "udev", "kmod", "iproute2", "procps", "util-linux",
    "python3", "docker-registry",
)  # fmt: skip
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_MODULES = ("dm-snapshot.ko", "dm-thin-pool.ko", "xfs.ko", "zfs.ko")
_DISK_BYTES = 4 << 30
# What mmdebstrap mounts and starts is seen by it alone and ends with it, and it ends with us, however we end.
_CONTAINED = (
    "setpriv", "--pdeathsig", "KILL", "--",
    "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
)  # fmt: skip
_FIRST = "usr/sbin/drkit-machine"


@dataclass(frozen=True)
class Image:
    """What the machine starts from; none of it is written to by a run."""

    disk: Path
    kernel: Path
    initrd: Path

    @property
    def init(self) -> str:
        """The machine's first process."""
        return f"/{_FIRST}"


def prepared(cache: Path, scratch: Path, say: Callable[[str], None]) -> Image:
    """The image from the cache, or a new one put there; raises ServerError."""
    suite, mirror = own_release()
    recipe = repr((_PACKAGES, _LEFT_OUT, suite)) + (_HERE / "first").read_text()
    place = cache / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    if not place.exists():
        say("builds the machine and ZFS's module for its kernel; kept for the next run")
        cache.mkdir(parents=True, exist_ok=True)
        made = scratch / "image"
        made.mkdir()
        _build(suite, mirror, scratch / "root", made)
        # Moved beside its place first: a cache on another file system gets all of it or nothing.
        partial = cache / f"{place.name}.{os.getpid()}"
        try:
            shutil.copytree(made, partial, copy_function=_copy_sparse)
            partial.rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(made)
    return Image(place / "disk", place / "vmlinuz", place / "initrd")


def _build(suite: str, mirror: str, root: Path, made: Path) -> None:
    _run(
        *_CONTAINED,
        "nice", "-n", "15", "mmdebstrap", "--quiet", "--mode=root", "--variant=important",
        f"--include={','.join(_PACKAGES)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        '--aptopt=APT::Install-Recommends "false"',
        # A mirror may stand still; what it has is signed all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        suite, str(root), f"deb {mirror} {suite} main contrib",
    )  # fmt: skip
    modules = {path.name for path in (root / "lib/modules").rglob("*.ko")}
    if lacking := [name for name in _MODULES if name not in modules]:
        raise ServerError(f"the machine's kernel has no {', '.join(lacking)}")
    (root / _FIRST).write_bytes((_HERE / "first").read_bytes())
    (root / _FIRST).chmod(0o755)
    for name in ("vmlinuz", "initrd"):
        (found,) = (root / "boot").glob(f"{name}*-cloud-amd64")
        shutil.copyfile(found, made / name)
    with (made / "disk").open("wb") as disk:
        disk.truncate(_DISK_BYTES)
    _run("nice", "-n", "15", "mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(made / "disk"))
    shutil.rmtree(root)


def _copy_sparse(source: str, target: str) -> None:
    _run("cp", "--sparse=always", source, target)


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ServerError(f"{words[0]} is not installed: run testenv/install") from None
    if done.returncode != 0:
        raise ServerError(f"`{' '.join(words)}` failed:\n{done.stderr[-3000:]}")
