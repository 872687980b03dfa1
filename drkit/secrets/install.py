"""The files of a secrets bundle, put where they were or below a root."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drkit.errors import RestoreDamaged, TargetNotEmpty, ToolFailed
from drkit.files import make_directory
from drkit.model.set_aside import PARTIAL, free_path, there
from drkit.secrets import bundle_paths
from drkit.secrets.bundle import Member

# setuid, setgid and the sticky bit are for programs and shared directories; no secret needs them.
_MODE = 0o777


def below(root: Path | None, path: str | Path) -> Path:
    """Where a file goes: below `root`, or where it was."""
    return root / str(path).lstrip("/") if root else Path(path)


@dataclass
class Placed:
    """What was written or stood there already as packed, and what was renamed to make room for it."""

    files: int = 0
    kept: int = 0
    set_aside: list[Path] = field(default_factory=list)


def obstacles(members: Sequence[Member], root: Path | None) -> list[Path]:
    """What is in the way of members; what stands there just as it was packed is no obstacle."""
    found = (_in_the_way(member, below(root, member.path)) for member in members)
    return list(dict.fromkeys(path for path in found if path is not None))


def place_members(members: Sequence[Member], root: Path | None, point: str, *, replace: bool) -> Placed:
    """Write a bundle's members with their modes, owners and times.

    What is in the way is renamed after the point where `replace` allows, else TargetNotEmpty is raised before
    anything is written. A file that is there as it was packed stays. Directories that exist keep their own
    mode and owner.
    """
    placed = Placed()
    refuse_system(members, root)
    _refuse_links_out(members, root)
    if not replace and (found := obstacles(members, root)):
        raise TargetNotEmpty(
            f"{found[0]} is there already", hint="--replace sets it aside; nothing was written"
        )
    made: list[tuple[Member, Path]] = []
    for member in sorted(members, key=lambda member: member.path):
        target = below(root, member.path)
        try:
            _make_room(member, target, point, placed)
            if member.kind == "directory":
                if not target.is_dir():
                    _make(member, target)
                    made.append((member, target))
                continue
            if there(target):
                placed.kept += 1
            else:
                make_directory(target.parent, 0o755, exist_ok=True)
                _write(member, target)
        except OSError as error:
            raise ToolFailed(f"cannot write {target}: {error.strerror}") from None
        placed.files += 1
    # Last and deepest first, since writing into a directory changes its time.
    for member, target in reversed(made):
        _give(member, target)
    return placed


def refuse_system(members: Sequence[Member], root: Path | None) -> None:
    """Raise RestoreDamaged for a member that would become a part of the operating system's own set-up.

    A point is no more trustworthy than those who may write to its repository: they must not become root here.
    """
    if root is not None:
        return
    for member in members:
        if bundle_paths.is_system(member.path):
            raise RestoreDamaged(
                f"the bundle has {member.path}, which belongs to the operating system",
                hint="use --root DIR, look at what comes back, and put it in place by hand",
            )


def _in_the_way(member: Member, target: Path) -> Path | None:
    """What has to go before a member can stand there: itself, or what is no directory where one is needed."""
    above = next((path for path in reversed(target.parents) if there(path) and not path.is_dir()), None)
    if above is not None:
        return above
    return target if there(target) and not _as_packed(member, target) else None


def _as_packed(member: Member, target: Path) -> bool:
    """Whether what is there is what would be written; of a directory, whether it is one."""
    try:
        if member.kind == "directory":
            return target.is_dir()
        found = target.lstat()
        if member.kind == "link":
            # Not by pathlib, which would tidy up what it says.
            return stat.S_ISLNK(found.st_mode) and os.readlink(target) == member.link  # noqa: PTH115
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != member.mode & _MODE:
            return False
        if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (member.uid, member.gid):
            return False
        return found.st_size == len(member.data) and target.read_bytes() == member.data
    except OSError:
        return False


def _make_room(member: Member, target: Path, point: str, placed: Placed) -> None:
    while (obstacle := _in_the_way(member, target)) is not None:
        aside = free_path(obstacle, point)
        obstacle.rename(aside)
        placed.set_aside.append(aside)


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


def _make(member: Member, target: Path) -> None:
    """A directory that has its owner and mode before it has its name: one that is there is left as it is."""
    make_directory(target.parent, 0o755, exist_ok=True)
    partial = _partial(target)
    make_directory(partial, 0o700)
    _give(member, partial)
    partial.rename(target)


def _partial(target: Path) -> Path:
    """What is to be renamed to `target`; an earlier restore may have been killed just here."""
    partial = target.with_name(PARTIAL)
    if partial.is_dir() and not partial.is_symlink():
        partial.rmdir()
    else:
        partial.unlink(missing_ok=True)
    return partial


def _write(member: Member, target: Path) -> None:
    if member.kind == "link":
        # Not by pathlib, which would tidy up what it says.
        os.symlink(member.link, target)  # noqa: PTH211
        _give(member, target)
        return
    partial = _partial(target)
    # Private from the first byte on; its own mode comes with _give.
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(member.data)
    _give(member, partial)
    partial.rename(target)


def _give(member: Member, target: Path) -> None:
    """Owner, mode and time; only root can give a file away, and then the numbers count, not names."""
    if os.geteuid() == 0:
        os.chown(target, member.uid, member.gid, follow_symlinks=False)
    if member.kind != "link":
        target.chmod(member.mode & _MODE)
    os.utime(target, ns=(member.mtime_ns, member.mtime_ns), follow_symlinks=False)
