"""One blob at a time into the directory of a registry that runs: a missing one, or in a damaged one's place.

It is written beside, on the same file system, and proved there. It gets its name by a link or a renaming; no
moment is without a file of that name where there was one. What is damaged keeps another name.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from drkit.errors import ToolFailed
from drkit.model.set_aside import free_path
from drkit.registry import storage


class Put(NamedTuple):
    """What became of one: whether it was put there, or was there already; and what was set aside."""

    put: bool
    aside: str = ""


class _Like(NamedTuple):
    """Owners and modes of what a registry has made itself."""

    uid: int
    gid: int
    file_mode: int
    directory_mode: int


class DirectoryMender:
    """Puts blobs below the root directory of a registry; `point` names what is set aside."""

    def __init__(self, root: Path, point: str) -> None:
        self._root = root
        self._point = point
        self._like = _neighbour(root)

    def put(self, digest: str, made: Path) -> Put:
        """Give a file with the bytes of a blob its name, unless it is there and right; raises ToolFailed.

        The bytes have been hashed by the caller. `made` may be gone afterwards.
        """
        target = storage.blob_path(self._root, digest)
        try:
            _give(made, self._own(target))
            self._make_parents(target)
            if _link(made, target):
                return Put(put=True)
            if hashes_right(target, digest):
                return Put(put=False)
            aside = self._set_aside(target)
            made.replace(target)
            _sync(target.parent)
        except OSError as error:
            raise ToolFailed(
                f"cannot put {digest} into {self._root}: {error.strerror}",
                hint="an audit's --repair needs the right to write there; run it again",
            ) from None
        return Put(put=True, aside=str(aside))

    def _own(self, target: Path) -> _Like:
        """As the damaged file is; where there is none, as its neighbours."""
        with suppress(FileNotFoundError):
            status = target.stat()
            return self._like._replace(uid=status.st_uid, gid=status.st_gid)
        return self._like

    def _make_parents(self, target: Path) -> None:
        missing = []
        parent = target.parent
        while not parent.is_dir():
            missing.append(parent)
            parent = parent.parent
        for each in reversed(missing):
            with suppress(FileExistsError):
                each.mkdir()
                each.chmod(self._like.directory_mode)
                _chown(each, self._like)
                _sync(each.parent)

    def _set_aside(self, target: Path) -> Path:
        """Another name for a damaged file; the one that a run which was cut off has given it already."""
        status = target.lstat()
        for found in target.parent.glob(f"{target.name}.before-*"):
            if os.path.samestat(found.lstat(), status):
                return found
        aside = free_path(target, self._point)
        try:
            os.link(target, aside, follow_symlinks=False)
        except OSError:
            # A file system without links.
            target.rename(aside)
        return aside


def hashes_right(path: Path, digest: str) -> bool:
    """Whether a file is a plain one, and its bytes hash to that name; False where there is none."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return False
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest
    except OSError:
        return False


def _neighbour(root: Path) -> _Like:
    """As the first blob of the tree is; where there is none, as the directory of all blobs."""
    for digest, found in storage.stored_files(root):
        above = storage.blob_path(root, digest).parent.stat()
        return _Like(found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), stat.S_IMODE(above.st_mode))
    top = next(path for path in (root / storage.BLOBS, root / storage.TREE, root) if path.is_dir())
    above = top.stat()
    return _Like(above.st_uid, above.st_gid, 0o644, stat.S_IMODE(above.st_mode))


def _give(path: Path, like: _Like) -> None:
    _chown(path, like)
    path.chmod(like.file_mode)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _chown(path: Path, like: _Like) -> None:
    # Only root can give files away; anybody else who may write there is the registry's own user.
    if os.geteuid() == 0:
        os.chown(path, like.uid, like.gid)


def _link(made: Path, target: Path) -> bool:
    """Give it its name where nobody has it; says whether that was so."""
    try:
        os.link(made, target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError:
        # A file system without links.
        if os.path.lexists(target):
            return False
        made.rename(target)
    _sync(target.parent)
    return True


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
