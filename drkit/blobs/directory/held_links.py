"""The links of a registry that runs, held while its blobs are read.

restic reads the names of a directory in their order, `blobs` before `repositories`. Where images are pushed
without a pause, it so meets links that are newer than the blobs that it has read. A copy of the links, tags
first, is older than whatever is read once it was made; and a registry writes a link after all that it leads
to. restic sees the copy in place of the links.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from drkit.errors import ToolFailed
from drkit.registry import storage
from drkit.state.directory import remove_tree
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.volumes.reflink import copy_tree
from drkit.volumes.standing import Order

log = logging.getLogger(__name__)

Mounts = tuple[tuple[str, ...], ...]
# Of the file system that the copy is on, so much of blocks and inodes stays free: 1/20.
_SPARED = 20
# A link takes a block: after so many of them room is looked at again.
_BETWEEN_LOOKS = 1000


@contextmanager
def held(root: Path, copy: Path, order: Order) -> Iterator[Mounts]:
    """The mounts by which a command sees a copy of the links, made at `copy`; it is gone afterwards.

    None where that cannot be (nobody but root may mount, or there is no room): the log says why.
    """
    repositories = root / storage.REPOSITORIES
    mounts = (("mount", "--bind", str(copy), str(repositories)),)
    try:
        yield mounts if _copied(repositories, copy, order) and _can_be_seen(mounts) else ()
    finally:
        remove_tree(copy)


def _copied(repositories: Path, copy: Path, order: Order) -> bool:
    if os.geteuid() != 0:
        log.warning("the links were not copied before the blobs were read: only root can have the copy seen")
        return False
    copied = 0

    def copy_link(source: Path, target: Path) -> None:
        nonlocal copied
        if copied % _BETWEEN_LOOKS == 0:
            _refuse_full(copy)
        copied += 1
        shutil.copyfile(source, target)

    def below(path: PurePosixPath, names: list[str]) -> list[str]:
        return order(storage.REPOSITORIES / path, names)

    try:
        copy_tree(repositories, copy, below, copy_link)
    except (OSError, ToolFailed) as error:
        log.warning("the links were not copied before the blobs were read: %s", error)
        return False
    return True


def _refuse_full(directory: Path) -> None:
    """Raise ToolFailed where the copy would fill a file system that others need."""
    room = os.statvfs(directory)
    if room.f_bavail * _SPARED < room.f_blocks or room.f_favail * _SPARED < room.f_files:
        raise ToolFailed(f"there is too little room for a copy in {directory}", hint="see state in [site]")


def _can_be_seen(mounts: Mounts) -> bool:
    tried = execute.run(Command(("true",), mounts=mounts))
    if tried.code != 0:
        log.warning("the copy of the links cannot be mounted: %s", tried.stderr.strip())
    return tried.code == 0
