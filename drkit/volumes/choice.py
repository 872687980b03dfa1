"""Which kind of volume snapshot a directory gets, and why."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, assert_never

from pydantic import Field, TypeAdapter, ValidationError

from drkit.errors import CannotFreeze, ConfigError, ToolFailed
from drkit.volumes import btrfs, lvm, reflink, standing, zfs, zvol
from drkit.volumes.btrfs import Btrfs
from drkit.volumes.lvm import Lvm
from drkit.volumes.reflink import Reflink
from drkit.volumes.standing import Order, Standing
from drkit.volumes.zfs import Zfs
from drkit.volumes.zvol import Zvol

# A zvol is a volume of ZFS with another file system on it; the configuration calls both "zfs".
Kind = Literal["btrfs", "zfs", "zvol", "lvm", "reflink"]
Wanted = Literal["auto", "btrfs", "zfs", "lvm", "reflink", "live"]


_RECORDS: TypeAdapter[Btrfs | Zfs | Zvol | Lvm | Reflink] = TypeAdapter(
    Annotated[Btrfs | Zfs | Zvol | Lvm | Reflink, Field(discriminator="kind")]
)


class Volume(Protocol):
    """A volume snapshot, whether it has been made or not; its fields are all that is needed to remove it.

    `top` is an empty directory to mount a file system on; nobody but a single command ever sees that.
    """

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def name(self) -> str:
        """A name that says whose it is."""

    @property
    def same_files(self) -> bool:
        """Whether its files have the inode numbers and times of change of the originals."""

    @property
    def same_top(self) -> bool:
        """Whether the directory itself has its original's inode number."""

    def make(self, top: Path, order: Order, /) -> None:
        """Make it; raises ToolFailed. One that copies files copies those that `order` names, in its order."""

    def mounts(self, path: Path, top: Path, /) -> tuple[tuple[str, ...], ...]:
        """The `mount` commands after which it is seen at `path`."""

    def check(self, top: Path, /) -> None:
        """Raise ToolFailed if what was read from it may not have been whole."""

    def remove(self, top: Path, /) -> bool:
        """Remove it, whether drkit is being interrupted or not; False if it was not there.

        Raises ToolFailed, also for something of that name that is not what these fields describe.
        """


@dataclass(frozen=True)
class Choice:
    """How a directory is read: frozen as `volume`, or live where that is None; and why, in words.

    `regret` is there where the file system could do better but is not let.
    """

    kind: str
    why: str
    volume: Volume | None = None
    regret: str = ""
    hint: str = ""


def choose(path: Path, wanted: Wanted, name: str, top: Path) -> Choice:
    """How to read a directory, given by its real path.

    Raises ConfigError where the kind that is `wanted` by name cannot be had; "auto" then chooses live, and
    says so.
    """
    if wanted == "live":
        return Choice("live", "the configuration says so")
    kind: Kind | None = None if wanted == "auto" else wanted
    try:
        found = standing.look(path)
        if kind is None:
            kind = natural(found, logical=lvm.is_logical(found.device))
        elif kind == "zfs" and zvol.is_zvol(found.source):
            kind = "zvol"
        if kind is None:
            return Choice("live", _no_snapshots(found))
        refuse(found, kind, root=os.geteuid() == 0)
        volume = plan(kind, found, name, top)
    except ToolFailed as error:
        if wanted != "auto":
            raise ConfigError(
                f'volume = "{wanted}" cannot be used: {error.message}', hint=error.hint
            ) from None
        regret = f"{path} was not frozen{f' by {kind}' if kind else ''}: {error.message}"
        return Choice("live", error.message, regret=regret, hint=error.hint)
    return Choice(kind, f"it is on {_called(kind, found)}", volume)


def natural(found: Standing, *, logical: bool) -> Kind | None:
    """The snapshot that a file system makes at once; None where it makes none.

    Reflinks are not among them: copying file by file takes as long as reading the directory, and what a live
    reading lacks, a single moment, a copy lacks as well.
    """
    match found.fstype:
        case "btrfs":
            return "btrfs"
        case "zfs":
            return "zfs"
        case _ if zvol.is_zvol(found.source):
            return "zvol"
        case _:
            return "lvm" if logical else None


def refuse(found: Standing, kind: Kind, *, root: bool) -> None:
    """Raise CannotFreeze for what this kind, or no kind, can do."""
    own = zfs.contained(found) if kind == "zfs" else ()
    if foreign := [mount for mount in found.below if mount not in own]:
        raise CannotFreeze(
            f"another file system is mounted below it, which a snapshot would leave out: {foreign[0].target}",
            hint="set volume to live, or unmount it",
        )
    if not root:
        raise CannotFreeze(
            "only root may freeze a directory and mount the snapshot",
            hint="run drkit as root, or set volume to live",
        )


def plan(kind: Kind, found: Standing, name: str, top: Path) -> Volume:
    """The snapshot that is to be made; raises CannotFreeze, ToolMissing, ToolFailed."""
    fitting = {"btrfs": found.fstype == "btrfs", "zfs": found.fstype == "zfs"}
    fitting["lvm"] = lvm.is_logical(found.device)
    if not fitting.get(kind, True):
        raise CannotFreeze(
            f"{found.path} stands on {found.fstype} ({found.source})", hint="set volume to auto"
        )
    match kind:
        case "btrfs":
            return btrfs.look(found, name, top)
        case "zfs":
            return zfs.look(found, name)
        case "zvol":
            return zvol.look(found, name)
        case "lvm":
            return lvm.look(found, name)
        case "reflink":
            return reflink.look(found, name)
        case _:
            assert_never(kind)


def stray(path: Path, prefix: str, top: Path) -> tuple[str, ...]:
    """What stands in the directory's file system under a name that begins so; raises ToolFailed."""
    found = standing.look(path)
    left = list(reflink.stray(found, prefix))
    match natural(found, logical=lvm.is_logical(found.device)):
        case "btrfs":
            # A copy in the file system's own top directory is no snapshot, and not counted twice.
            left += [name for name in btrfs.stray(found, prefix, top) if not any(name in one for one in left)]
        case "zfs":
            left += zfs.stray(found, prefix)
        case "zvol":
            left += zvol.stray(found, prefix)
        case "lvm":
            left += lvm.stray(found, prefix)
        case _:
            pass
    return tuple(left)


def to_record(volume: Volume) -> dict[str, Any]:
    """A volume as plain JSON."""
    return asdict(volume)  # type: ignore[call-overload,no-any-return]  # each kind is a dataclass


def from_record(record: dict[str, Any]) -> Volume:
    """The volume that a record tells of; raises ToolFailed."""
    try:
        volume = _RECORDS.validate_python(record)
        # A field that is not known here may stand for something that would be left.
        if set(record) <= set(to_record(volume)):
            return volume
    except ValidationError:
        pass
    raise ToolFailed(f"an unknown record of a volume snapshot: {str(record)[:80]}")


def _no_snapshots(found: Standing) -> str:
    reflinks = ", and copies by reflink cost more than they give" if found.fstype == "xfs" else ""
    return f"{found.fstype} makes no snapshots{reflinks}"


def _called(kind: Kind, found: Standing) -> str:
    match kind:
        case "lvm":
            return f"an LVM volume, {found.source}"
        case "zvol":
            return f"a volume of ZFS, {found.source}"
        case _:
            return f"{found.fstype}, {found.source}"
