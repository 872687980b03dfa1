"""A volume of ZFS with another file system on it: a clone of a snapshot of the volume, mounted read-only.

A clone, because the file system has to write to it before it can be read: what was in its journal is put into
place. ZFS knows nothing of the file system, so what that holds in memory is written to the volume before.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from drkit.errors import CannotFreeze, NotOurs, ToolFailed
from drkit.tools.process import execute, stopping
from drkit.tools.process.command import Command, find_program
from drkit.volumes import zfs
from drkit.volumes.standing import Order, Standing

_DEVICE = re.compile(r"zd\d+")
# BLKZNAME of OpenZFS, _IOR(0x12, 125, char[256]): the name of the dataset that a device is.
_NAME_OF_DEVICE, _NAME_BYTES = 0x8100127D, 256
# The kernel makes the device of a new clone in the background.
_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Zvol:
    """A snapshot called `name` of a volume, which `guid` identifies, and a clone of it beside the volume.

    `path` is the directory itself, `inside` where that is in the file system of the kind `fstype`.
    """

    same_files: ClassVar[bool] = True
    same_top: ClassVar[bool] = True

    name: str
    dataset: str
    guid: str
    fstype: str
    path: str
    inside: str
    kind: Literal["zvol"] = "zvol"

    @property
    def snapshot(self) -> str:
        """The snapshot's full name."""
        return f"{self.dataset}@{self.name}"

    @property
    def clone(self) -> str:
        """The clone's full name."""
        return f"{self.dataset.rpartition('/')[0]}/{self.name}"

    def make(self, _top: Path, _order: Order) -> None:
        """Make the snapshot and the clone; raises ToolFailed."""
        execute.check(Command(("sync", "--file-system", self.path)))
        execute.check(Command(zfs.snapshot_words([self.snapshot], self.name)))
        execute.check(Command(self.clone_words()))

    def clone_words(self) -> tuple[str, ...]:
        """The command that makes the marked clone; nobody looks for partitions on it."""
        options = ("-o", f"{zfs.MARK}={self.name}", "-o", "volmode=dev", "-o", "readonly=off")
        return ("zfs", "clone", *options, self.snapshot, self.clone)

    def mounts(self, path: Path, top: Path) -> tuple[tuple[str, ...], ...]:
        """What has to be mounted to see the clone at the directory's own path; waits for its device."""
        # XFS refuses to mount two file systems of one UUID, and a clone has its original's.
        options = "ro,nouuid" if self.fstype == "xfs" else "ro"
        return (
            ("mount", "-t", self.fstype, "-o", options, _device(self.clone), str(top)),
            ("mount", "--bind", str(top / self.inside), str(path)),
        )

    def check(self, _top: Path) -> None:
        """A clone is whole as long as it is there."""

    def remove(self, _top: Path) -> bool:
        """Destroy clone and snapshot if they are there; says whether they were.

        Raises ToolFailed for what is not ours.
        """
        guids = zfs.datasets(zfs.pool(self.dataset))
        found = False
        if self.clone in guids:
            words = ("zfs", "list", "-H", "-p", "-o", f"origin,{zfs.MARK}", self.clone)
            made_of = zfs.parse_list(execute.check(Command(words, tidying=True)).text)
            if made_of != {self.snapshot: self.name}:
                raise NotOurs(f"{self.clone} is not the clone that was recorded", hint="inspect it by hand")
            execute.check(Command(("zfs", "destroy", self.clone), tidying=True))
            found = True
        marks = zfs.marked([self.dataset], tidying=True) if self.dataset in guids else {}
        if self.snapshot in marks:
            if marks[self.snapshot] != self.name or guids[self.dataset] != self.guid:
                raise NotOurs(
                    f"{self.snapshot} is not the snapshot that was recorded", hint="inspect it by hand"
                )
            execute.check(Command(("zfs", "destroy", self.snapshot), tidying=True))
            found = True
        return found


def is_zvol(source: str) -> bool:
    """Whether a device is a volume of ZFS; one of its partitions is none."""
    return source.startswith("/dev/") and bool(_DEVICE.fullmatch(Path(source).resolve().name))


def look(standing: Standing, name: str) -> Zvol:
    """How to freeze a directory that stands on a volume of ZFS.

    Raises CannotFreeze, ToolMissing, ToolFailed.
    """
    find_program("zfs", hint="install zfsutils-linux")
    dataset = _name_of(Path(standing.source))
    if dataset is None or "@" in dataset:
        raise CannotFreeze(
            f"the device {standing.source} is no volume of ZFS that can be frozen", hint="set volume to live"
        )
    inside = str(standing.inside).lstrip("/") or "."
    guid = zfs.datasets(zfs.pool(dataset))[dataset]
    return Zvol(name, dataset, guid, standing.fstype, str(standing.path), inside)


def stray(standing: Standing, prefix: str) -> tuple[str, ...]:
    """The snapshots of the volume, and the clones beside it, whose name begins so."""
    dataset = _name_of(Path(standing.source))
    if dataset is None:
        return ()
    snapshots = [name for name in zfs.marked([dataset]) if name.partition("@")[2].startswith(prefix)]
    known = {name.partition("@")[2] for name in snapshots}
    beside = f"{dataset.rpartition('/')[0]}/"
    clones = [name for name in zfs.datasets(zfs.pool(dataset)) if name.startswith(f"{beside}{prefix}")]
    return (*snapshots, *(name for name in clones if name.removeprefix(beside) not in known))


def _device(dataset: str) -> str:
    """The device of a volume, asked from the devices themselves: the links below /dev/zvol are udev's."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        stopping.stop_if_asked()
        for path in sorted(Path("/dev").glob("zd*")):
            if _DEVICE.fullmatch(path.name) and _name_of(path) == dataset:
                return str(path)
        time.sleep(_PAUSE_SECONDS)
    raise ToolFailed(
        f"the volume {dataset} has no device in /dev after {_PATIENCE_SECONDS:g} seconds",
        hint="see that /dev shows devices that the kernel makes, or set volume to live",
    )


def _name_of(device: Path) -> str | None:
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        name = fcntl.ioctl(descriptor, _NAME_OF_DEVICE, bytes(_NAME_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return name.partition(b"\0")[0].decode()
