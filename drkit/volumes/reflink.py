"""A copy of the directory that shares all its blocks: FICLONE (ioctl_ficlone(2)), on XFS and btrfs.

No snapshot of a moment: files are copied one after another, in the order that the caller options. A copy has
inodes and times of change of its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from drkit.errors import CannotFreeze, NotOurs, ToolFailed
from drkit.state.directory import remove_tree
from drkit.tools.process import stopping
from drkit.volumes.standing import Order, Standing

# _IOW(0x94, 9, int) in <linux/fs.h>.
_FICLONE = 0x40049409


@dataclass(frozen=True)
class Reflink:
    """A copy at `copy` of the directory `source`; the name of the copy is made of this run's own."""

    same_files: ClassVar[bool] = False
    same_top: ClassVar[bool] = False

    name: str
    source: str
    copy: str
    kind: Literal["reflink"] = "reflink"

    def make(self, _top: Path, order: Order) -> None:
        """Copy; raises ToolFailed."""
        try:
            clone_tree(Path(self.source), Path(self.copy), order)
        except OSError as error:
            raise ToolFailed(f"cannot copy {self.source} by reflinks: {error}", hint="see volume") from None

    def mounts(self, path: Path, _top: Path) -> tuple[tuple[str, ...], ...]:
        """What has to be mounted to see the copy at the directory's own path."""
        return (("mount", "--bind", self.copy, str(path)),)

    def check(self, _top: Path) -> None:
        """Nobody else writes to the copy."""

    def remove(self, _top: Path) -> bool:
        """Remove it if it is there; says whether it was. Raises ToolFailed if something of it stays."""
        copy = Path(self.copy)
        if copy.name != f".{self.name}" or copy.is_symlink():
            raise NotOurs(f"{copy} is not the copy that was recorded", hint="inspect it by hand")
        if not copy.exists():
            return False
        remove_tree(copy)
        return True


def look(standing: Standing, name: str) -> Reflink:
    """How to copy a directory; raises CannotFreeze where its file system shares no blocks."""
    # A mount point's parent is another file system. What begins with a dot is no part of a registry.
    place = standing.path if os.path.ismount(standing.path) else standing.path.parent
    try:
        with (
            tempfile.TemporaryFile(dir=standing.path) as source,
            tempfile.TemporaryFile(dir=place) as target,
        ):
            fcntl.ioctl(target, _FICLONE, source.fileno())
    except OSError as error:
        raise CannotFreeze(
            f"{standing.fstype} makes no reflinks there: {error.strerror}", hint="set volume to auto or live"
        ) from None
    return Reflink(name, str(standing.path), str(place / f".{name}"))


def stray(standing: Standing, prefix: str) -> tuple[str, ...]:
    """The copies whose name begins so."""
    places = (standing.path, standing.path.parent)
    return tuple(str(path) for place in places for path in sorted(place.glob(f".{prefix}*")))


def clone_tree(source: Path, target: Path, order: Order) -> None:
    """Copy a tree as `copy_tree` does; its files share their blocks."""
    copy_tree(source, target, order, _clone_file)


def copy_tree(source: Path, target: Path, order: Order, copy: Callable[[Path, Path], object]) -> None:
    """Copy a tree with owners, modes, times and extended attributes, each file by `copy`.

    What vanishes meanwhile was deleted, and is passed over. Raises OSError, and Interrupted.
    """
    target.mkdir(mode=0o700)
    for path, names in _walk(source, target, order):
        stopping.stop_if_asked()
        _copy_directory(source / path, target / path, names, copy)
    # Last and deepest first: writing into a directory changes its time.
    for directory, _, _ in os.walk(target, topdown=False):
        made = Path(directory)
        _give(source / made.relative_to(target), made)


def _walk(source: Path, target: Path, order: Order) -> Iterator[tuple[PurePosixPath, list[str]]]:
    """Directory after directory, relative to the source, parents first; each with its names."""
    pending = [PurePosixPath()]
    while pending:
        path = pending.pop()
        try:
            found = {entry.name: entry for entry in os.scandir(source / path)}
        except FileNotFoundError:
            continue
        # A copy below its own source is no part of it.
        names = [name for name in order(path, sorted(found)) if source / path / name != target]
        yield path, names
        below = [name for name in names if found[name].is_dir(follow_symlinks=False)]
        pending += [path / name for name in reversed(below)]


def _copy_directory(
    source: Path, target: Path, names: list[str], copy: Callable[[Path, Path], object]
) -> None:
    for name in names:
        try:
            mode = (source / name).lstat().st_mode
            if stat.S_ISDIR(mode):
                (target / name).mkdir(mode=0o700)
                continue
            if stat.S_ISLNK(mode):
                (target / name).symlink_to((source / name).readlink())
            elif stat.S_ISREG(mode):
                copy(source / name, target / name)
            else:
                raise OSError(errno.EINVAL, f"{source / name} is not a file")
            _give(source / name, target / name)
        except FileNotFoundError:
            # Half of what has vanished is worse than nothing of it.
            (target / name).unlink(missing_ok=True)


def _clone_file(source: Path, target: Path) -> None:
    with source.open("rb") as original, target.open("xb") as copy:
        fcntl.ioctl(copy, _FICLONE, original.fileno())


def _give(source: Path, target: Path) -> None:
    """Owner, mode, times and extended attributes; of a directory that has vanished nothing is needed."""
    try:
        status = source.lstat()
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
        shutil.copystat(source, target, follow_symlinks=False)
    except FileNotFoundError:
        return
