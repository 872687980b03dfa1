"""ZFS: a snapshot of the dataset, mounted read-only (zfs-snapshot(8), mount.zfs(8)).

Not through `.zfs/snapshot`: what appears there by itself is mounted in the machine's own namespace, and not
seen in a private one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from drkit.errors import NotOurs, ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program
from drkit.volumes.standing import Order, Standing

# A user property (zfsprops(7)) by which a snapshot says who made it.
_MARK = "drkit:name"


@dataclass(frozen=True)
class Zfs:
    """A snapshot called `name` of a dataset, which `guid` identifies; `inside` is the directory within it."""

    same_files: ClassVar[bool] = True

    name: str
    dataset: str
    guid: str
    inside: str
    kind: Literal["zfs"] = "zfs"

    @property
    def snapshot(self) -> str:
        """The snapshot's full name."""
        return f"{self.dataset}@{self.name}"

    def make(self, _top: Path, _order: Order) -> None:
        """Make the snapshot; raises ToolFailed."""
        execute.check(Command(snapshot_words(self.snapshot, self.name)))

    def mounts(self, path: Path, top: Path) -> tuple[tuple[str, ...], ...]:
        """What has to be mounted to see the snapshot at the directory's own path."""
        return (
            ("mount", "-t", "zfs", "-o", "ro", self.snapshot, str(top)),
            ("mount", "--bind", str(top / self.inside), str(path)),
        )

    def check(self, _top: Path) -> None:
        """A ZFS snapshot is whole as long as it is there."""

    def remove(self, _top: Path) -> bool:
        """Destroy it if it is there; says whether it was. Raises ToolFailed for one that is not ours."""
        marks = _snapshots(self.dataset, tidying=True)
        if self.snapshot not in marks:
            return False
        if marks[self.snapshot] != self.name or _guid(self.dataset, tidying=True) != self.guid:
            raise NotOurs(f"{self.snapshot} is not the snapshot that was recorded", hint="inspect it by hand")
        execute.check(Command(("zfs", "destroy", self.snapshot), tidying=True))
        return True


def look(standing: Standing, name: str) -> Zfs:
    """How to freeze a directory that stands on ZFS; raises ToolMissing, ToolFailed."""
    find_program("zfs", hint="install zfsutils-linux")
    return Zfs(name, standing.source, _guid(standing.source), str(standing.inside).lstrip("/") or ".")


def stray(standing: Standing, prefix: str) -> tuple[str, ...]:
    """The snapshots of the dataset whose name begins so."""
    wanted = f"{standing.source}@{prefix}"
    return tuple(name for name in _snapshots(standing.source) if name.startswith(wanted))


def snapshot_words(snapshot: str, name: str) -> tuple[str, ...]:
    """The command that makes a marked snapshot."""
    return ("zfs", "snapshot", "-o", f"{_MARK}={name}", snapshot)


def list_words(dataset: str) -> tuple[str, ...]:
    """The command that lists a dataset's own snapshots with their marks."""
    return ("zfs", "list", "-H", "-p", "-t", "snapshot", "-d", "1", "-o", f"name,{_MARK}", dataset)


def parse_list(text: str) -> dict[str, str]:
    """Snapshot -> mark, "-" where there is none; the columns of `zfs list -H` are parted by tabs."""
    found = {}
    for line in text.splitlines():
        name, tab, mark = line.partition("\t")
        if not tab:
            raise ToolFailed(f"cannot read ZFS's list of snapshots: {line[:60]!r}")
        found[name] = mark
    return found


def _snapshots(dataset: str, *, tidying: bool = False) -> dict[str, str]:
    return parse_list(execute.check(Command(list_words(dataset), tidying=tidying)).text)


def _guid(dataset: str, *, tidying: bool = False) -> str:
    words = ("zfs", "get", "-H", "-p", "-o", "value", "guid", dataset)
    return execute.check(Command(words, tidying=tidying)).text.strip()
