"""A registry's root directory: restored beside its place, and moved there once it is proven.

A directory takes its place by one renaming, and what was there has been renamed before. A mount point cannot
be renamed: there the registry's tree (`docker`) moves in and out, again by one renaming each. What else
stands in a mount point, such as `lost+found`, stays as it is.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from drkit.errors import TargetNotEmpty, ToolFailed
from drkit.files import make_directory
from drkit.model import set_aside
from drkit.model.set_aside import free_path, there
from drkit.registry import storage

_STAGING = ".drkit-restoring-"
_TREE = storage.TREE.parts[0]
_MOUNTS = Path("/proc/self/mountinfo")


def staging_for(target: Path, point: str) -> Path:
    """Where a directory is restored before it takes its place: on the same file system, always the same name.

    A restore that was cut off goes on from there instead of beginning again.
    """
    parent = target if is_mount(target) else target.parent
    return parent / f"{_STAGING}{point}"


def make_staging(target: Path, point: str) -> Path:
    """The same directory, made; nobody else may look into it. Raises OSError, ToolFailed.

    What another user has put there in time, a link say, would be filled in its stead.
    """
    staging = staging_for(target, point)
    make_directory(staging, 0o700, exist_ok=True)
    found = staging.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ToolFailed(f"{staging} is not drkit's", hint="remove it, or use --root DIR")
    staging.chmod(0o700)
    return staging


def obstacles(target: Path) -> str:
    """What is in the way of a directory, in a word or two; empty where nothing is."""
    if not there(target):
        return ""
    if not target.is_dir():
        return "a file"
    names = sorted(path.name for path in target.iterdir())
    if is_mount(target):
        return f"a registry's tree ({_TREE})" if _TREE in names else ""
    return f"{len(names)} {'entry' if len(names) == 1 else 'entries'}, such as {names[0]}" if names else ""


def refuse_mounts_below(target: Path) -> None:
    """Raise TargetNotEmpty for a mount point further down: it would move away, or hide what comes."""
    found = [mount for mount in mount_points() if target in Path(mount).parents]
    if found:
        raise TargetNotEmpty(
            f"{found[0]} is a mount point below {target}",
            hint="unmount it for the restore, then move what belongs there to its file system",
        )


def taken(target: Path, point: str) -> tuple[Path, ...]:
    """What restores of this point have set aside there so far."""
    return set_aside.taken(target / _TREE if is_mount(target) else target, point)


def take_place(restored: Path, target: Path, point: str) -> Path | None:
    """Move a restored directory to its place; what was there is renamed and its new path returned."""
    source, destination = restored, target
    aside: Path | None = None
    try:
        if is_mount(target):
            source, destination = restored / _TREE, target / _TREE
        if there(destination) and obstacles(target):
            aside = free_path(destination, point)
            destination.rename(aside)
        elif destination.is_dir():
            destination.rmdir()
        _move(source, destination, aside)
        if destination != target:
            _give_mount_point(restored, target)
            restored.rmdir()
    except OSError as error:
        where = "is in place" if not there(source) else f"is whole in {source}: move it by hand"
        raise ToolFailed(
            f"cannot move {source} to {destination}: {error.strerror}", hint=f"the restored tree {where}"
        ) from None
    return aside


def _move(source: Path, destination: Path, aside: Path | None) -> None:
    try:
        source.rename(destination)
    except OSError:
        if aside is not None:
            # Better what was there than nothing.
            aside.rename(destination)
        raise


def _give_mount_point(restored: Path, target: Path) -> None:
    """Owner and mode of the root directory that was backed up."""
    status = restored.stat()
    target.chmod(stat.S_IMODE(status.st_mode))
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid)


def is_mount(path: Path) -> bool:
    """Whether something is mounted there; also a bind mount of the same file system, or a subvolume."""
    return os.path.ismount(path) or str(path.resolve()) in mount_points()


def mount_points() -> frozenset[str]:
    """Where something is mounted, as the kernel lists it (proc_pid_mountinfo(5)); empty without a /proc."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return frozenset()
    return frozenset(_unescaped(line.split(" ")[4]) for line in lines)


def _unescaped(path: str) -> str:
    """Spaces and the like are written as three octal digits after a backslash."""
    for character in (" ", "\t", "\n", "\\"):
        path = path.replace(f"\\{ord(character):03o}", character)
    return path
