"""Blobs that need not come from the repository: what is in place already, or was left by a restore cut off.

Each is hashed first. One that is in place is shared with the new tree by a hard link: the tree that it stands
in is not touched, stays whole when it is set aside, and nothing is written twice. A registry never writes
into a blob that is there. Only a file that is as the point has it, owner and mode included, can be shared.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from drkit.errors import ToolFailed
from drkit.progress import Meter
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.tools.parallel import for_each
from drkit.tools.process import stopping
from drkit.tools.restic.output import OwnedFile
from drkit.tools.tally import Tally

_WORKERS = min(4, os.cpu_count() or 1)
# What a registry's file may be: anything else is made anew, and made harmless.
_HARMLESS = 0o664


@dataclass
class Kept:
    """How many blobs, of how many bytes, were there and hash right; and which were there and are wrong.

    `listed` is whether there was anything to look for.
    """

    listed: bool = False
    blobs: int = 0
    bytes: int = 0
    wrong: Tally[str] = field(default_factory=Tally)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, size: int) -> None:
        """One more."""
        with self._lock:
            self.blobs += 1
            self.bytes += size


def is_worth_it(target: Path, restored: Path) -> bool:
    """Whether there may be blobs in place, or in what an earlier run has begun to restore."""
    return (target / storage.BLOBS).is_dir() or (restored / storage.BLOBS).is_dir()


def keep(wanted: Iterable[OwnedFile], old: Path, restored: Path, ledger: Ledger, meter: Meter) -> Kept:
    """Have below `restored` each of the wanted files that is below `old` or was left there, if it is right.

    Both are root directories of a registry; the files' paths are relative to `blobs` in them. What was left
    there and is not right is removed. The ledger is told of each blob that was hashed. Raises
    ToolFailed.
    """
    keeper = _Keeper(old, restored, ledger, meter)
    try:
        for_each(wanted, keeper.look, _WORKERS)
    except OSError as error:
        raise ToolFailed(f"cannot write {error.filename}: {error.strerror}") from None
    return keeper.kept


def share(old: Path, restored: Path, digest: str, size: int) -> bool:
    """Have one blob of `old` below `restored` as well; False where it is not there, or not right.

    For a point that says nothing of owners: any file with harmless permissions will do.
    """
    name = str(storage.blob_name(digest))
    try:
        with _opened(old / name) as found:
            if os.fstat(found.fileno()).st_mode & 0o7777 & ~_HARMLESS or not _hashes(found, digest, size):
                return False
            storage.make_directory(restored, name.rpartition("/")[0])
            return _linked(found, old / name, restored / name)
    except OSError:
        return False


class _Keeper:
    def __init__(self, old: Path, restored: Path, ledger: Ledger, meter: Meter) -> None:
        self.kept = Kept()
        self._old, self._restored = old, restored
        self._ledger, self._meter = ledger, meter

    def look(self, file: OwnedFile) -> None:
        stopping.stop_if_asked()
        self.kept.listed = True
        name = f"{storage.BLOBS}/{file.path}"
        digest = storage.digest_of_blob(f"/{name}")
        if digest is None or name != str(storage.blob_name(digest)):
            # Nothing tells whether it is whole. (A name of the repository's may lead anywhere.)
            if ".." not in name.split("/"):
                (self._restored / name).unlink(missing_ok=True)
        elif self._was_left(self._restored / name, file, digest) or self._is_in_place(name, file, digest):
            self._ledger.confirm(digest)
            self._meter.add(file.size)
            self.kept.add(file.size)

    def _was_left(self, target: Path, file: OwnedFile, digest: str) -> bool:
        """What a restore that was cut off has left: restic gives owners and times last of all."""
        try:
            with _opened(target) as found:
                status = os.fstat(found.fileno())
                if _hashes(found, digest, file.size) and (status.st_nlink == 1 or _fits(status, file)):
                    if status.st_nlink == 1:
                        _give(found, file)
                    return True
        except FileNotFoundError:
            return False
        except OSError:
            # No file, or none to be read: it is made anew.
            pass
        target.unlink()
        return False

    def _is_in_place(self, name: str, file: OwnedFile, digest: str) -> bool:
        place = self._old / name
        try:
            with _opened(place) as found:
                if not _hashes(found, digest, file.size):
                    self.kept.wrong.add(digest)
                    return False
                if not _fits(os.fstat(found.fileno()), file):
                    return False
                storage.make_directory(self._restored, name.rpartition("/")[0])
                return _linked(found, place, self._restored / name)
        except OSError:
            # There is none, or none to be read.
            return False


def _opened(path: Path) -> BufferedReader:
    """A file of the tree itself: no link is followed, nothing else is waited for."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _hashes(file: BufferedReader, digest: str, size: int) -> bool:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        return False
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest


def _fits(status: os.stat_result, file: OwnedFile) -> bool:
    """Whether a file that is in place has the owner and mode that the point says, and may have them.

    Only root can give files away: what anybody else restores belongs to him, whatever the point says.
    """
    if stat.S_IMODE(status.st_mode) != file.mode or file.mode & ~_HARMLESS:
        return False
    return os.geteuid() != 0 or (status.st_uid, status.st_gid) == (file.uid, file.gid)


def _linked(file: BufferedReader, place: Path, target: Path) -> bool:
    try:
        os.link(place, target, follow_symlinks=False)
    except OSError:
        # On another file system, or not ours to link: it is restored.
        return False
    if os.path.samestat(target.lstat(), os.fstat(file.fileno())):
        return True
    # Somebody has put another there meanwhile.
    target.unlink()
    return False


def _give(file: BufferedReader, wanted: OwnedFile) -> None:
    if os.geteuid() == 0:
        os.fchown(file.fileno(), wanted.uid, wanted.gid)
    os.fchmod(file.fileno(), wanted.mode & _HARMLESS)
    os.utime(file.fileno(), ns=(wanted.modified_ns, wanted.modified_ns))
