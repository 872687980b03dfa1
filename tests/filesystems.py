"""File systems for tests, on loop devices: where they cannot be had a test is skipped, and in CI it fails."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from testenv import loops
from tests import needs


@contextlib.contextmanager
def mounted(directory: Path, kind: loops.Kind, size: int = 1 << 30) -> Iterator[Path]:
    """A new file system (see testenv/loops.py)."""
    if os.geteuid() != 0:
        needs.missing("mounting a file system on a loop device needs root")
    for program in loops.PROGRAMS:
        needs.program(program)
    with contextlib.ExitStack() as stack:
        try:
            target = stack.enter_context(loops.mounted(directory, kind, size))
        except loops.LoopError as error:
            needs.missing(f"no {kind} on a loop device is to be had here: {error}")
        yield target


def mounts_below(directory: Path) -> list[str]:
    """What is mounted below a directory, as everybody sees it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    targets = [line.split()[4] for line in lines]
    return [target for target in targets if target.startswith(f"{directory}/")]


def subvolumes(top: Path) -> list[str]:
    """All subvolumes of the btrfs that is mounted there, by path."""
    done = subprocess.run(
        ["btrfs", "subvolume", "list", str(top)], capture_output=True, text=True, check=True
    )
    return [line.partition(" path ")[2] for line in done.stdout.splitlines()]


def make_subvolume(path: Path) -> None:
    """A new subvolume."""
    subprocess.run(["btrfs", "subvolume", "create", str(path)], capture_output=True, check=True)


def left(top: Path) -> list[str]:
    """drkit's volume snapshots and copies on a file system."""
    found = [str(path) for path in top.rglob("*drkit-*")]
    # The file system's own top may be out of sight: ask btrfs as well.
    words = ["stat", "--file-system", "--format=%T", str(top)]
    if subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "btrfs":
        found += [name for name in subvolumes(top) if "drkit-" in name]
    return found


@contextlib.contextmanager
def narrow(directory: Path, size: str) -> Iterator[Path]:
    """A new file system in memory with so much room (as in `size=`), below a directory that is made."""
    if os.geteuid() != 0:
        needs.missing("mounting a file system needs root")
    directory.mkdir()
    options = f"size={size},mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)
        directory.rmdir()


def fill(directory: Path) -> Path:
    """Leave no room on the file system of a directory; returns the file that takes it."""
    filling = directory / "filling"
    with contextlib.suppress(OSError), filling.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    return filling
