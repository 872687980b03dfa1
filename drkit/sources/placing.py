"""Putting restored files in place: never over something that is there, never outside the given root."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drkit.errors import RestoreDamaged, TargetNotEmpty, ToolFailed
from drkit.sources.bundle import Member


def below(root: Path | None, path: str | Path) -> Path:
    """Where a file goes: below `root`, or where it was."""
    return root / str(path).lstrip("/") if root else Path(path)


@dataclass
class Placed:
    """What was written, and what was renamed to make room for it."""

    files: int = 0
    set_aside: list[Path] = field(default_factory=list)


def place_members(members: Sequence[Member], root: Path | None, suffix: str, *, replace: bool) -> Placed:
    """Write a bundle's members with their modes, owners and times.

    A file that is in the way is renamed by `suffix` where `replace` allows, else TargetNotEmpty is raised
    before anything is written. Directories that exist keep their own mode and owner.
    """
    placed = Placed()
    _refuse_links_out(members, root)
    for member in members:
        target = below(root, member.path)
        if member.kind != "directory" and not replace and _there(target):
            raise TargetNotEmpty(
                f"{target} is there already", hint="--replace sets it aside; nothing was written"
            )
    made: list[tuple[Member, Path]] = []
    for member in sorted(members, key=lambda member: member.path):
        target = below(root, member.path)
        if member.kind == "directory":
            if not target.is_dir():
                target.mkdir(mode=0o700, parents=True)
                made.append((member, target))
            continue
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if _there(target):
            aside = _free_name(target.name + suffix, target.parent)
            target.rename(aside)
            placed.set_aside.append(aside)
        _write(member, target)
        placed.files += 1
    # Last and deepest first, since writing into a directory changes its time.
    for member, target in reversed(made):
        _give(member, target)
    return placed


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _free_name(name: str, directory: Path) -> Path:
    """A path for what is set aside: a second restore never overwrites what the first one set aside."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(path for each in names if not _there(path := directory / each))


def _refuse_links_out(members: Sequence[Member], root: Path | None) -> None:
    """Below a root of the user's choosing, no link that stands there already may lead a file out of it."""
    if root is None:
        return
    top = root.resolve()
    for member in members:
        parent = below(root, member.path).parent.resolve()
        if not parent.is_relative_to(top):
            raise RestoreDamaged(
                f"{below(root, member.path)} would be written to {parent}, outside {root}",
                hint="remove the link that leads there, or choose an empty directory",
            )


def _write(member: Member, target: Path) -> None:
    try:
        if member.kind == "link":
            target.symlink_to(member.link)
        else:
            # Private from the first byte on; its own mode comes with _give.
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(member.data)
        _give(member, target)
    except OSError as error:
        raise ToolFailed(f"cannot write {target}: {error.strerror}") from None


def _give(member: Member, target: Path) -> None:
    """Owner, mode and time; only root can give a file away, and then the numbers count, not names."""
    if os.geteuid() == 0:
        os.chown(target, member.uid, member.gid, follow_symlinks=False)
    if member.kind != "link":
        target.chmod(member.mode)
    os.utime(target, ns=(member.mtime_ns, member.mtime_ns), follow_symlinks=False)


def staging_for(target: Path, point: str) -> Path:
    """Where a directory is restored before it takes its place: on the same file system, always the same name.

    A restore that was cut off goes on from there instead of beginning again.
    """
    parent = target if os.path.ismount(target) else target.parent
    return parent / f".drkit-restoring-{point}"


def obstacles(target: Path) -> str:
    """What is in the way of a directory, in a word or two; empty where nothing is."""
    if not target.exists():
        return ""
    if not target.is_dir():
        return "a file"
    names = [n for n in sorted(p.name for p in target.iterdir()) if n != "lost+found" and not _ours(n)]
    return f"{len(names)} {'entry' if len(names) == 1 else 'entries'}, such as {names[0]}" if names else ""


def _ours(name: str) -> bool:
    return name.startswith(".drkit-restoring-")


def take_place(restored: Path, target: Path, suffix: str) -> Path | None:
    """Move a restored directory to its place; what was there is renamed and its new path returned."""
    aside: Path | None = None
    try:
        if os.path.ismount(target):
            return _move_into_mount(restored, target, suffix)
        if obstacles(target):
            aside = _free_name(target.name + suffix, target.parent)
            target.rename(aside)
        elif target.is_dir():
            target.rmdir()
        try:
            restored.rename(target)
        except OSError:
            if aside is not None:
                # Better what was there than nothing.
                aside.rename(target)
            raise
    except OSError as error:
        raise ToolFailed(
            f"cannot move {restored} to {target}: {error.strerror}",
            hint=f"the restored files are whole in {restored}: move them by hand",
        ) from None
    return aside


def _move_into_mount(restored: Path, target: Path, suffix: str) -> Path | None:
    """A mount point cannot be renamed: its content moves aside within it, and the restored content in."""
    aside: Path | None = None
    if obstacles(target):
        aside = _free_name(f"before{suffix}", target)
        aside.mkdir()
        _move_all(
            target, aside, lambda path: path != aside and not _ours(path.name) and path.name != "lost+found"
        )
    _move_all(restored, target, lambda _path: True)
    status = restored.stat()
    target.chmod(status.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid)
    restored.rmdir()
    return aside


def _move_all(source: Path, target: Path, wanted: Callable[[Path], bool]) -> None:
    for path in sorted(source.iterdir()):
        if wanted(path):
            destination = target / path.name
            if destination.exists():
                raise OSError(errno.EEXIST, f"{destination} is in the way")
            path.rename(destination)
