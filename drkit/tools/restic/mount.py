"""Snapshots as directories, by `restic mount` (FUSE).

As root restic mounts in a mount namespace of its own: nobody else sees the mount, and it is gone with restic,
even after SIGKILL. An ordinary user has no such thing; what a killed run of his leaves is unmounted later.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import tidying
from drkit.errors import ToolFailed, ToolMissing
from drkit.tools.process import execute
from drkit.tools.process.command import Command, which
from drkit.tools.process.server import Server
from drkit.tools.restic.access import Access

_DEVICE = Path("/dev/fuse")
_HELPERS = ("fusermount3", "fusermount")
_TOP = "ids"
_PATIENCE_SECONDS = 120.0
# Mounts nothing; it is there for the namespace that comes with it.
_NAMESPACE = (("mount", "--make-rprivate", "/"),)
# The escapes of a mount table (proc(5): space, tab, newline, backslash).
_ESCAPES = ("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")


@dataclass(frozen=True)
class Mount:
    """Mounted snapshots; they are there as long as the mount is `alive`."""

    top: Path
    server: Server

    @property
    def alive(self) -> bool:
        """Whether restic still runs."""
        return self.server.running

    @property
    def gone(self) -> str:
        """That it has ended, with restic's last words; empty while it is there."""
        return "" if self.alive else f"restic's mount of the repository has ended: {self.server.last_words()}"

    def snapshot(self, name: str) -> Path:
        """The directory of a snapshot, by its id; raises ToolFailed."""
        path = self.top / name[:8]
        if not path.is_dir():
            raise ToolFailed(
                f"restic's mount does not show the snapshot {name[:8]}: {self.server.last_words()}",
                hint="run `drkit verify`",
            )
        return path

    def file(self, snapshot: str, path: str) -> Path:
        """A file of a snapshot, by its path there; raises ToolFailed."""
        found = self.snapshot(snapshot) / path.lstrip("/")
        if not found.is_file():
            raise ToolFailed(f"the snapshot {snapshot[:8]} has no file {path}", hint="run `drkit verify`")
        return found


def look() -> None:
    """Raise ToolMissing where no file system can be mounted with FUSE."""
    if not _DEVICE.exists():
        raise ToolMissing(
            f"there is no {_DEVICE}", hint="load the kernel module fuse; give a container the device"
        )
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise ToolMissing(
            f"this user may not open {_DEVICE}", hint="run as root, or give the device the mode 0666"
        )
    if not any(map(which, _HELPERS)):
        raise ToolMissing("fusermount is not installed", hint="install the package fuse3")


@contextlib.contextmanager
def mounted(access: Access, directory: Path, tag: str) -> Iterator[Mount]:
    """The snapshots that bear a tag, mounted below `directory`, which is empty; gone when the block ends.

    Raises ToolMissing, ToolFailed.
    """
    look()
    target = directory / "mount"
    target.mkdir(mode=0o700)
    options = ("--path-template", f"{_TOP}/%i", "--tag", tag)
    command = replace(access.command("mount", *options, str(target)), end_signal=signal.SIGINT)
    private = os.geteuid() == 0
    if private:
        command = replace(command, mounts=_NAMESPACE)
    server = Server(command, directory / "mount.log")
    top = Path(f"/proc/{server.pid}/root{target}") if private else target
    try:
        _wait(server, top / _TOP)
        yield Mount(top / _TOP, server)
    finally:
        with tidying.undisturbed():
            server.stop()
            unmount_below(directory)


def _wait(server: Server, shown: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not _is_directory(shown):
        if not server.running:
            raise ToolFailed(
                f"restic mount ended: {server.last_words()}",
                hint="see `drkit doctor`, and whether FUSE works here",
            )
        if time.monotonic() > end:
            raise ToolFailed(f"restic mount shows nothing: {server.last_words()}", hint="run `drkit verify`")
        time.sleep(0.02)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # In the moment in which it is mounted.
        return False


def unmount_below(directory: Path) -> None:
    """Unmount what a mount of ours has left below a directory; raises ToolFailed where it stays."""
    for point in mounted_below(Path("/proc/self/mountinfo").read_text(encoding="utf-8"), directory):
        helper = next(filter(None, map(which, _HELPERS)), None)
        words = ("umount", "--lazy", point) if os.geteuid() == 0 or helper is None else (helper, "-uz", point)
        execute.check(Command(words, tidying=True))


def mounted_below(table: str, directory: Path) -> list[str]:
    """The mount points below a directory in a mount table, the deepest first: pure."""
    found = []
    for line in table.splitlines():
        point = line.split(" ")[4]
        for escaped, plain in _ESCAPES:
            point = point.replace(escaped, plain)
        if Path(point).is_relative_to(directory) and Path(point) != directory:
            found.append(point)
    return sorted(found, key=len, reverse=True)
