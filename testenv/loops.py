"""File systems of one's own: made in a file, mounted by a loop device, and gone afterwards."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Kind = Literal["btrfs", "xfs", "ext4"]

_MAKE: dict[Kind, tuple[str, ...]] = {
    "btrfs": ("mkfs.btrfs", "--quiet"),
    "xfs": ("mkfs.xfs", "-q", "-m", "reflink=1"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
}
PROGRAMS = ("mkfs.btrfs", "mkfs.xfs", "mount", "umount", "btrfs")
_PATIENCE_SECONDS = 10.0


class LoopError(RuntimeError):
    """There is no loop device to be had, or the file system cannot be made or mounted on it."""


@contextlib.contextmanager
def mounted(directory: Path, kind: Kind, size: int) -> Iterator[Path]:
    """A new file system of so many bytes, mounted at `directory`/mnt; needs root.

    The directory is made; what it takes on disk is what is written to it. Raises LoopError.
    """
    image, target = directory / "image", directory / "mnt"
    target.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size)
    _run(*_MAKE[kind], str(image))
    # The device goes with the mount: nothing to be detached.
    _run("mount", "-o", "loop", str(image), str(target))
    try:
        yield target
    finally:
        _unmount(target)
        image.unlink()


def _unmount(target: Path) -> None:
    """Whoever was killed in there may take a moment to be gone."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            _run("umount", str(target))
        except LoopError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LoopError(f"{words[0]} is not installed: run testenv/install") from None
    if done.returncode != 0:
        raise LoopError(f"`{' '.join(words)}` failed: {done.stderr.strip()}")
