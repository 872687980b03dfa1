"""The life of a volume snapshot: recorded, made, seen at the directory's own path, removed.

The view is mounted over the directory, in a mount namespace of the reading command alone (unshare(1)). So the
path in every backup is the same, frozen or live; nothing is mounted for anybody else; and a mount ends with
its command, even when drkit is killed. What a kill does leave, the snapshot, stands in a record that was
written before it was made, and `sweep` removes it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from drkit import tidying
from drkit.errors import NotOurs, ToolFailed
from drkit.files import replace_file
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.volumes.choice import Choice, Volume, Wanted, choose, from_record, to_record
from drkit.volumes.standing import Order

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0
# The kernel's name of a logical volume has 127 letters at most: that of the volume group, this one, and LVM's
# own suffix, all with every hyphen doubled. What follows the site's name here is a run's id.
_LONGEST_SITE = 48


@dataclass(frozen=True)
class Place:
    """Where volume snapshots are recorded: a directory of ours, and a name that nobody else gives."""

    directory: Path
    name: str

    @property
    def top(self) -> Path:
        """An empty directory to mount a file system on."""
        return self.directory / "top"

    @property
    def record(self) -> Path:
        """The record of the snapshot, as long as there may be one."""
        return self.directory / f"{self.name}.json"


@dataclass(frozen=True)
class View:
    """How a directory is to be read.

    `mounts` are for the reading command; `seconds` is how long it took from the wish for a consistent view
    until there was one. `warnings` may get more when the view is taken away.
    """

    kind: str
    why: str
    mounts: tuple[tuple[str, ...], ...] = ()
    same_files: bool = True
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)


def prefix(site: str) -> str:
    """What the names of all volume snapshots of a site begin with."""
    while len(site) + site.count("-") > _LONGEST_SITE:
        site = site[:-1]
    return f"drkit-{site}-"


@contextlib.contextmanager
def frozen(path: Path, wanted: Wanted, place: Place, order: Order) -> Iterator[View]:
    """The directory, given by its real path, frozen if that can be.

    Raises ConfigError for a kind that cannot be had, ToolFailed for one that fails. With "auto" neither is
    raised: the directory is then read live, and the view's warnings say why.
    """
    began = time.monotonic()
    place.top.mkdir(mode=0o700, parents=True, exist_ok=True)
    choice = choose(path, wanted, place.name, place.top)
    live = View("live", choice.why, warnings=[choice.regret] if choice.regret else [])
    if choice.volume is None:
        yield live
        return
    with contextlib.ExitStack() as stack:
        try:
            view = stack.enter_context(_made(choice, path, place, order, began))
        except ToolFailed as error:
            if wanted != "auto":
                raise
            view = replace(live, why=error.message)
            view.warnings.append(f"{path} was not frozen by {choice.kind}: {error.message}")
        yield view


@contextlib.contextmanager
def _made(choice: Choice, path: Path, place: Place, order: Order, began: float) -> Iterator[View]:
    volume = choice.volume
    assert volume is not None
    _write(volume, place.record)
    view = None
    try:
        volume.make(place.top, order)
        took = time.monotonic() - began
        mounts = volume.mounts(path, place.top)
        view = View(volume.kind, choice.why, mounts, volume.same_files, round(took, 3))
        _confirm(volume, path, mounts)
        try:
            yield view
        except ToolFailed:
            # Where the snapshot has come to an end, that is why reading failed.
            volume.check(place.top)
            raise
        volume.check(place.top)
    finally:
        try:
            with tidying.undisturbed():
                _remove(volume, place.record, place.top)
        except ToolFailed as error:
            # What was read is whole all the same; the record stays, so that the next run tries again.
            log.warning("cannot remove the %s snapshot %s: %s", volume.kind, volume.name, error.message)
            if view is not None:
                view.warnings.append(
                    f"the {volume.kind} snapshot {volume.name} is still there: {error.message}"
                )


def _write(volume: Volume, record: Path) -> None:
    try:
        replace_file(record, json.dumps(to_record(volume)), mode=0o600)
    except OSError as error:
        raise ToolFailed(f"cannot write {record}: {error.strerror}", hint="see state in [site]") from None


def _confirm(volume: Volume, path: Path, mounts: tuple[tuple[str, ...], ...]) -> None:
    """Look whether what is seen there is the snapshot of this very directory; raises ToolFailed."""
    seen = execute.check(Command(("stat", "--format=%i", str(path)), mounts=mounts)).text.strip()
    if volume.same_top and seen != str(path.stat().st_ino):
        raise ToolFailed(f"the {volume.kind} snapshot does not show {path}", hint="set volume to live")


def _remove(volume: Volume, record: Path, top: Path) -> bool:
    """Remove a snapshot, and then its record; a process that still reads from it may need a moment to end."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            was_there = volume.remove(top)
        except ToolFailed as error:
            if attempt == _ATTEMPTS or isinstance(error, NotOurs):
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            break
    record.unlink(missing_ok=True)
    return was_there


def records(directory: Path) -> tuple[Path, ...]:
    """The records of snapshots that may be there."""
    return tuple(sorted(directory.glob("*.json")))


def sweep(directory: Path) -> tuple[str, ...]:
    """Remove the snapshots of dead runs; returns what was done, or could not be done.

    The caller holds the site's lock, so that no run with a snapshot is alive.
    """
    said = []
    for path in records(directory):
        try:
            volume = _read(path)
            if _remove(volume, path, Place(directory, volume.name).top):
                said.append(f"removed the {volume.kind} snapshot {volume.name} that a killed run left")
        except ToolFailed as error:
            log.warning("cannot remove what %s tells of: %s", path, error.message)
            said.append(f"could not remove the volume snapshot {path.stem}: {error.message}")
    return tuple(said)


def _read(path: Path) -> Volume:
    try:
        return from_record(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ToolFailed(f"cannot read {path}: {error}", hint="look for what it tells of by hand") from None
