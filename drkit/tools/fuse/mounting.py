"""Mounting by FUSE: whether it can be done here, doing it for a file system of our own, undoing it.

`fusermount3` mounts for root and for everybody else, and hands over the kernel's device (libfuse's way).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from drkit.errors import ToolFailed, ToolMissing
from drkit.logs import redact
from drkit.tools.process import children, execute
from drkit.tools.process.command import Command, which

_DEVICE = Path("/dev/fuse")
_HELPERS = ("fusermount3", "fusermount")
_OPTIONS = "ro,nosuid,nodev,noexec,default_permissions,fsname=drkit,subtype=drkit"
# The escapes of a mount table (proc(5): space, tab, newline, backslash).
_ESCAPES = ("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")


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


def mount(target: Path) -> int:
    """Mount on a directory, for this user alone; returns the descriptor by which the kernel asks.

    `look` has found that it can be done. Raises ToolFailed.
    """
    helper = next(filter(None, map(which, _HELPERS)))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            command = Command((helper, "-o", _OPTIONS, "--", str(target)), {"_FUSE_COMMFD": "0"})
            child = children.start(command, theirs.fileno(), children.NOTHING, children.PIPE)
        try:
            _, found, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
            assert child.stderr is not None
            said = child.stderr.read().decode("utf-8", "replace").strip()
        finally:
            children.wait(child, 10.0)
            children.kill(child)
            children.close_pipes(child.stderr)
    if not found:
        words = redact(" / ".join(said.splitlines()[-3:]))
        raise ToolFailed(f"{Path(helper).name} does not mount: {words}", hint="see whether FUSE works here")
    return found[0]


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
