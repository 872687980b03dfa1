"""btrfs: a read-only snapshot of the subvolume that a directory is in (btrfs-subvolume(8)).

The snapshot stands at the top of the file system, which is mounted for the command in question alone. So it
makes no difference where and how the subvolume itself is mounted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from drkit.errors import CannotFreeze, NotOurs, ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program
from drkit.volumes.standing import Order, Standing

_LINE = re.compile(r"^ID \d+ .*\bparent_uuid (\S+)\s+uuid (\S+)\s+path (.*)$")
_UUID = re.compile(r"^\s*UUID:\s+(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Subvolume:
    """A line of `btrfs subvolume list -u -q`; `parent` is "-" for one that is no snapshot."""

    path: str
    uuid: str
    parent: str


@dataclass(frozen=True)
class Btrfs:
    """A snapshot called `name` of the subvolume at `subvolume` ("" is the top), whose UUID is `parent`.

    `inside` is the directory within the subvolume.
    """

    same_files: ClassVar[bool] = True
    same_top: ClassVar[bool] = True

    name: str
    device: str
    subvolume: str
    parent: str
    inside: str
    kind: Literal["btrfs"] = "btrfs"

    @property
    def entry(self) -> str:
        """The snapshot's name in the file system's top directory."""
        return f".{self.name}"

    def make(self, top: Path, _order: Order) -> None:
        """Make the snapshot; raises ToolFailed."""
        target = top / self.entry
        # btrfs would put the snapshot into a directory of that name, and be content.
        if (
            execute.run(Command(("test", "-e", str(target)), mounts=(_mount_top(self.device, top),))).code
            == 0
        ):
            raise ToolFailed(f"{self.entry} is already there on {self.device}", hint="inspect it by hand")
        command = ("subvolume", "snapshot", "-r", str(top / self.subvolume), str(target))
        execute.check(_command(self.device, top, *command))

    def mounts(self, path: Path, top: Path) -> tuple[tuple[str, ...], ...]:
        """What has to be mounted to see the snapshot at the directory's own path."""
        view = top / self.entry / self.inside
        return (_mount_top(self.device, top), ("mount", "--bind", str(view), str(path)))

    def check(self, _top: Path) -> None:
        """A btrfs snapshot is whole as long as it is there."""

    def remove(self, top: Path) -> bool:
        """Remove it if it is there; says whether it was. Raises ToolFailed for one that is not ours."""
        found = next((s for s in subvolumes(self.device, top, tidying=True) if s.path == self.entry), None)
        if found is None:
            return False
        if found.parent != self.parent:
            raise NotOurs(
                f"{self.entry} on {self.device} is not a snapshot of the recorded subvolume",
                hint="inspect it by hand",
            )
        execute.check(_command(self.device, top, "subvolume", "delete", str(top / self.entry), tidying=True))
        return True


def look(standing: Standing, name: str, top: Path) -> Btrfs:
    """How to freeze a directory that stands on btrfs; raises CannotFreeze."""
    find_program("btrfs", hint="install btrfs-progs")
    found = subvolumes(standing.source, top)
    subvolume, inside = locate(standing.inside, [s.path for s in found])
    shown = execute.check(_command(standing.source, top, "subvolume", "show", str(top / subvolume))).text
    return Btrfs(name, standing.source, subvolume, uuid_in(shown), inside)


def stray(standing: Standing, prefix: str, top: Path) -> tuple[str, ...]:
    """The snapshots whose name begins so."""
    return tuple(s.path for s in subvolumes(standing.source, top) if s.path.startswith(f".{prefix}"))


def subvolumes(device: str, top: Path, *, tidying: bool = False) -> tuple[Subvolume, ...]:
    """All subvolumes of a file system."""
    command = _command(device, top, "subvolume", "list", "-u", "-q", str(top), tidying=tidying)
    return parse_list(execute.check(command).text)


def parse_list(text: str) -> tuple[Subvolume, ...]:
    """From `btrfs subvolume list -u -q`; raises ToolFailed."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match:
            raise ToolFailed(f"cannot read btrfs's list of subvolumes: {line[:60]!r}")
        found.append(Subvolume(match[3], match[2], match[1]))
    return tuple(found)


def uuid_in(shown: str) -> str:
    """The UUID in `btrfs subvolume show`; the top has "-" where an old mkfs.btrfs gave it none."""
    match = _UUID.search(shown)
    if not match:
        raise ToolFailed("btrfs does not tell the subvolume's UUID", hint="look with `btrfs subvolume show`")
    return match[1]


def locate(inside: PurePosixPath, subvolumes: list[str]) -> tuple[str, str]:
    """The subvolume that a path of the file system is in, and the path within it.

    Raises CannotFreeze if there are further subvolumes below: a snapshot has nothing of them.
    """
    wanted = PurePosixPath(str(inside).lstrip("/"))
    paths = [PurePosixPath(path) for path in subvolumes]
    below = sorted(path for path in paths if wanted in path.parents)
    if below:
        raise CannotFreeze(
            f"there are subvolumes below it, which a snapshot would leave out: {below[0]}",
            hint="make them plain directories, or set volume to live",
        )
    around = [path for path in paths if path == wanted or path in wanted.parents]
    home = max(around, key=lambda path: len(path.parts), default=PurePosixPath())
    relative = wanted.relative_to(home)
    return ("" if home == PurePosixPath() else str(home)), str(relative)


def _mount_top(device: str, top: Path) -> tuple[str, ...]:
    return ("mount", "-t", "btrfs", "-o", "subvolid=5", device, str(top))


def _command(device: str, top: Path, *words: str, tidying: bool = False) -> Command:
    return Command(("btrfs", *words), mounts=(_mount_top(device, top),), tidying=tidying)
