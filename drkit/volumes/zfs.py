"""ZFS: a snapshot of the dataset and of those that are mounted below it (zfs-snapshot(8), mount.zfs(8)).

Not through `.zfs/snapshot`: what appears there by itself is mounted in the machine's own namespace, and not
seen in a private one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from drkit.errors import NotOurs, ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program
from drkit.volumes.standing import Mount, Order, Standing

# A user property (zfsprops(7)) by which a snapshot says who made it.
MARK = "drkit:name"


@dataclass(frozen=True)
class Child:
    """A dataset that is mounted at the path `below` the directory."""

    dataset: str
    guid: str
    below: str


@dataclass(frozen=True)
class Zfs:
    """A snapshot called `name` of a dataset, which `guid` identifies; `inside` is the directory within it.

    The `children` are frozen at the same instant, parents before what is mounted in them.
    """

    same_files: ClassVar[bool] = True

    name: str
    dataset: str
    guid: str
    inside: str
    children: tuple[Child, ...] = ()
    kind: Literal["zfs"] = "zfs"

    @property
    def same_top(self) -> bool:
        """Not where the directory is the dataset's own top: ZFS gives that of a snapshot another number."""
        return self.inside != "."

    @property
    def snapshots(self) -> dict[str, tuple[str, str]]:
        """Dataset -> its guid and the full name of its snapshot."""
        guids = {self.dataset: self.guid} | {child.dataset: child.guid for child in self.children}
        return {dataset: (guid, f"{dataset}@{self.name}") for dataset, guid in guids.items()}

    def make(self, _top: Path, _order: Order) -> None:
        """Make the snapshots, all at one instant; raises ToolFailed."""
        names = [snapshot for _, snapshot in self.snapshots.values()]
        execute.check(Command(snapshot_words(names, self.name)))

    def mounts(self, path: Path, top: Path) -> tuple[tuple[str, ...], ...]:
        """What has to be mounted to see the snapshots at the directory's own path."""
        own = (
            ("mount", "-t", "zfs", "-o", "ro", f"{self.dataset}@{self.name}", str(top)),
            ("mount", "--bind", str(top / self.inside), str(path)),
        )
        return own + tuple(
            ("mount", "-t", "zfs", "-o", "ro", f"{child.dataset}@{self.name}", str(path / child.below))
            for child in self.children
        )

    def check(self, _top: Path) -> None:
        """A ZFS snapshot is whole as long as it is there."""

    def remove(self, _top: Path) -> bool:
        """Destroy what is there of it; says whether anything was. Raises ToolFailed for what is not ours."""
        guids = datasets(pool(self.dataset))
        # With a dataset that somebody has destroyed went its snapshots.
        there = [dataset for dataset in self.snapshots if dataset in guids]
        marks = marked(there, tidying=True)
        found = {d: s for d, (_, s) in self.snapshots.items() if d in there and s in marks}
        for dataset, snapshot in found.items():
            if marks[snapshot] != self.name or guids[dataset] != self.snapshots[dataset][0]:
                raise NotOurs(f"{snapshot} is not the snapshot that was recorded", hint="inspect it by hand")
        for snapshot in found.values():
            execute.check(Command(("zfs", "destroy", snapshot), tidying=True))
        return bool(found)


def look(standing: Standing, name: str) -> Zfs:
    """How to freeze a directory that stands on ZFS; raises ToolMissing, ToolFailed."""
    find_program("zfs", hint="install zfsutils-linux")
    guids = datasets(pool(standing.source))
    below = tuple(
        Child(mount.source, guids[mount.source], str(Path(mount.target).relative_to(standing.path)))
        for mount in children(standing)
    )
    inside = str(standing.inside).lstrip("/") or "."
    return Zfs(name, standing.source, guids[standing.source], inside, below)


def children(standing: Standing) -> tuple[Mount, ...]:
    """What is mounted below that a snapshot at the same instant can have: whole datasets of the same pool."""
    return tuple(mount for mount in contained(standing) if "@" not in mount.source)


def contained(standing: Standing) -> tuple[Mount, ...]:
    """What is mounted below that is no reason not to freeze it.

    Beside the children, snapshots in `.zfs`: whoever looks into one there has it mounted for some minutes.
    """
    own = pool(standing.source)
    return tuple(
        mount
        for mount in standing.below
        if mount.fstype == "zfs"
        and mount.root == "/"
        and pool(mount.source) == own
        and ("@" not in mount.source or "/.zfs/snapshot/" in mount.target)
    )


def stray(standing: Standing, prefix: str) -> tuple[str, ...]:
    """The snapshots whose name begins so, of the dataset and of those mounted below."""
    names = [standing.source, *(mount.source for mount in children(standing))]
    return tuple(name for name in marked(names) if name.partition("@")[2].startswith(prefix))


def pool(dataset: str) -> str:
    """The pool that a dataset is in."""
    return dataset.partition("/")[0].partition("@")[0]


def snapshot_words(snapshots: Sequence[str], name: str) -> tuple[str, ...]:
    """The command that makes marked snapshots, all or none."""
    return ("zfs", "snapshot", "-o", f"{MARK}={name}", *snapshots)


def list_words(datasets: Sequence[str]) -> tuple[str, ...]:
    """The command that lists the datasets' own snapshots with their marks."""
    return ("zfs", "list", "-H", "-p", "-t", "snapshot", "-d", "1", "-o", f"name,{MARK}", *datasets)


def parse_list(text: str) -> dict[str, str]:
    """Name -> property, "-" where there is none; the columns of `zfs list -H` are parted by tabs."""
    found = {}
    for line in text.splitlines():
        name, tab, value = line.partition("\t")
        if not tab:
            raise ToolFailed(f"cannot read ZFS's list: {line[:60]!r}")
        found[name] = value
    return found


def marked(names: Sequence[str], *, tidying: bool = False) -> dict[str, str]:
    """The snapshots of datasets, each with its mark."""
    # Without a name zfs lists all that there are.
    return parse_list(execute.check(Command(list_words(names), tidying=tidying)).text) if names else {}


def datasets(name: str) -> dict[str, str]:
    """All datasets and volumes of a pool, each with its guid."""
    words = ("zfs", "list", "-H", "-p", "-t", "filesystem,volume", "-o", "name,guid", "-r", name)
    return parse_list(execute.check(Command(words, tidying=True)).text)
