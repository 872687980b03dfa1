"""LVM: a snapshot of the logical volume, thin or classic, mounted read-only (lvcreate(8), lvs(8)).

A classic snapshot keeps what changes in the original meanwhile, in a space of its own; when that is full it
is invalid, and what was read from it counts for nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from drkit.errors import CannotFreeze, NotOurs, ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program
from drkit.volumes.standing import Order, Standing

_COLUMNS = (
    "vg_name,lv_name,lv_uuid,lv_attr,lv_size,pool_lv,origin,origin_uuid,vg_free,lv_tags,"
    "data_percent,metadata_percent"
)
# A classic snapshot gets a fifth of the original's size, if there is so much: what a registry writes while it
# is read is far less, and whatever is not used goes back when the backup ends.
_SHARE = 5
_SMALLEST = 64 << 20
# A thin pool whose metadata is full goes out of service, with all that is in it.
_MOST_METADATA = 95.0
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Volume:
    """A line of `lvs`; sizes in bytes. `attributes` is lv_attr: its fifth letter is the volume's state.

    The percentages are how full it is, 0 where lvs has none.
    """

    group: str
    name: str
    uuid: str
    attributes: str
    size: int
    pool: str
    origin_uuid: str
    free: int
    tags: tuple[str, ...]
    data_percent: float = 0.0
    metadata_percent: float = 0.0

    @property
    def unused(self) -> int:
        """How much room for data is left in a thin pool."""
        return int(self.size * (1 - self.data_percent / 100))

    @property
    def thin(self) -> bool:
        """Whether its snapshots are thin: other volumes in pools (VDO's) have classic ones."""
        return self.attributes.startswith("V")

    @property
    def invalid(self) -> bool:
        """Whether this is a snapshot that has filled up: (I)nvalid, or (S)uspended and invalid."""
        return len(self.attributes) < 5 or self.attributes[4] in "IS"


@dataclass(frozen=True)
class Lvm:
    """A snapshot called `name` of a logical volume, which `origin_uuid` identifies.

    `size` is for a classic snapshot's own space, 0 for a thin one; `inside` is the directory on the volume.
    """

    same_files: ClassVar[bool] = True
    same_top: ClassVar[bool] = True

    name: str
    group: str
    origin: str
    origin_uuid: str
    size: int
    fstype: str
    inside: str
    kind: Literal["lvm"] = "lvm"

    def make(self, _top: Path, _order: Order) -> None:
        """Make the snapshot; raises ToolFailed."""
        execute.check(Command(self.create_words()))

    def create_words(self) -> tuple[str, ...]:
        """The command that makes it: marked, and active (thin snapshots are not, of themselves)."""
        how = ("--size", f"{self.size}b") if self.size else ("--setactivationskip", "n", "--activate", "y")
        words = ("lvcreate", "--quiet", "--yes", "--snapshot", "--addtag", _mark(self.name), *how)
        return (*words, "--name", self.name, f"{self.group}/{self.origin}")

    def mounts(self, path: Path, top: Path) -> tuple[tuple[str, ...], ...]:
        """What has to be mounted to see the snapshot at the directory's own path."""
        # XFS refuses to mount two file systems of one UUID, and a snapshot has its original's.
        options = "ro,nouuid" if self.fstype == "xfs" else "ro"
        device = f"/dev/{self.group}/{self.name}"
        return (
            ("mount", "-t", self.fstype, "-o", options, device, str(top)),
            ("mount", "--bind", str(top / self.inside), str(path)),
        )

    def check(self, _top: Path) -> None:
        """Raise ToolFailed if the snapshot filled up while it was read."""
        found = next((v for v in _volumes(self.group) if v.name == self.name), None)
        if found is None or found.invalid:
            raise ToolFailed(
                f"the LVM snapshot {self.group}/{self.name} filled up while it was read",
                hint=f"leave more space free in the volume group {self.group}, or set volume to live",
            )

    def remove(self, _top: Path) -> bool:
        """Remove it if it is there; says whether it was. Raises ToolFailed for one that is not ours."""
        found = next((v for v in _volumes(self.group, tidying=True) if v.name == self.name), None)
        if found is None:
            return False
        if found.origin_uuid != self.origin_uuid or _mark(self.name) not in found.tags:
            raise NotOurs(
                f"{self.group}/{self.name} is not the snapshot that was recorded", hint="inspect it by hand"
            )
        words = ("lvremove", "--quiet", "--yes", f"{self.group}/{self.name}")
        execute.check(Command(words, tidying=True))
        return True


def is_logical(device: str, blocks: Path = Path("/sys/dev/block")) -> bool:
    """Whether a device, given by its number, is a logical volume: device-mapper's UUID says so.

    Not by its name in /dev: where there is no udev, LVM makes plain nodes, which lead nowhere.
    """
    try:
        return (blocks / device / "dm/uuid").read_text().startswith("LVM-")
    except OSError:
        return False


def look(standing: Standing, name: str) -> Lvm:
    """How to freeze a directory that stands on a logical volume; raises CannotFreeze, ToolMissing."""
    find_program("lvs", hint="install lvm2")
    found = parse(execute.check(Command(lvs_words(standing.source))).text)
    if len(found) != 1:
        raise CannotFreeze(f"lvs knows no logical volume {standing.source}", hint="set volume to live")
    (origin,) = found
    pools = (v for v in _volumes(origin.group) if v.name == origin.pool) if origin.thin else iter(())
    return plan(origin, standing, name, next(pools, None))


def plan(origin: Volume, standing: Standing, name: str, pool: Volume | None = None) -> Lvm:
    """The snapshot of a logical volume, which may be in a thin pool.

    Raises CannotFreeze where there is no space for it. In a full pool LVM cannot even suspend the original
    for a moment, and whatever is written over costs room that production lacks then.
    """
    size = 0
    if pool and (pool.unused < _SMALLEST or pool.metadata_percent >= _MOST_METADATA):
        raise CannotFreeze(
            f"the thin pool {pool.group}/{pool.name} is full (data {pool.data_percent:.0f} %,"
            f" metadata {pool.metadata_percent:.0f} %)",
            hint="extend it, or set volume to live",
        )
    if not origin.thin:
        # lvcreate refuses a size that is no whole number of sectors.
        share = origin.size // _SHARE // _MEBIBYTE * _MEBIBYTE
        size = min(origin.free, max(share, _SMALLEST))
        if size < _SMALLEST:
            raise CannotFreeze(
                f"the volume group {origin.group} has no space free for a snapshot",
                hint="extend it or shrink a volume, or set volume to live",
            )
    inside = str(standing.inside).lstrip("/") or "."
    return Lvm(name, origin.group, origin.name, origin.uuid, size, standing.fstype, inside)


def stray(standing: Standing, prefix: str) -> tuple[str, ...]:
    """The logical volumes whose name begins so, in the volume group of the directory."""
    (own,) = parse(execute.check(Command(lvs_words(standing.source))).text)
    return tuple(f"{v.group}/{v.name}" for v in _volumes(own.group) if v.name.startswith(prefix))


def lvs_words(what: str) -> tuple[str, ...]:
    """The command that tells of one volume, or of all in a group."""
    options = ("--reportformat", "json", "--units", "b", "--nosuffix", "--options", _COLUMNS)
    return ("lvs", *options, what)


def parse(text: str) -> tuple[Volume, ...]:
    """From `lvs --reportformat json`; raises ToolFailed."""
    try:
        lines: list[dict[str, Any]] = json.loads(text)["report"][0]["lv"]
        return tuple(
            Volume(
                line["vg_name"],
                line["lv_name"],
                line["lv_uuid"],
                line["lv_attr"],
                int(line["lv_size"]),
                line["pool_lv"],
                line["origin_uuid"],
                int(line["vg_free"]),
                tuple(filter(None, line["lv_tags"].split(","))),
                float(line["data_percent"] or 0),
                float(line["metadata_percent"] or 0),
            )
            for line in lines
        )
    except (ValueError, KeyError, IndexError, TypeError):
        raise ToolFailed(f"cannot read what lvs says: {text.strip()[:60]!r}") from None


def _mark(name: str) -> str:
    return f"drkit_{name}"


def _volumes(group: str, *, tidying: bool = False) -> tuple[Volume, ...]:
    return parse(execute.check(Command(lvs_words(group), tidying=tidying)).text)
