"""Where the blobs of a unit are stored: a bucket, or a directory; the same on this machine and on a worker.

Nothing is ever removed here, and nothing is to be seen under a blob's name before its hash is right: what is
done twice, or by somebody for whom nobody waits any more, does no harm.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from drkit import tidying
from drkit.blobs.directory import keeping
from drkit.blobs.inventory import Entry
from drkit.blobs.units.sources import DirectorySource, Stop, judged, named
from drkit.blobs.vault.reading import key_of
from drkit.errors import ObjectMissing, ToolFailed, WrongBytes
from drkit.model import BucketPlace
from drkit.registry import image_manifests, storage
from drkit.tools.s3.bucket import Bucket, Lock

_PARTIAL = ".drkit-partial-"


class Target(Protocol):
    """Blobs to be stored. Every method may raise ToolFailed."""

    def place(self, *, files: bool) -> Mapping[str, Any]:
        """How a worker opens the same; see Work."""

    def holds(self, entry: Entry, stop: Stop) -> bool:
        """Whether an earlier run has brought a blob, and it is right."""

    def put(self, entry: Entry, pieces: Iterable[bytes]) -> str | None:
        """Store a blob, returns its version; raises WrongBytes, with nothing to be seen."""

    def stands(self, entry: Entry, version: str | None, head: bytes | None) -> bool:
        """Whether a blob is there and begins with these bytes (None: whatever they are)."""


@dataclass(frozen=True)
class BucketTarget:
    """A registry's tree in a bucket, or a vault; blobs are locked with `lock` as they are put.

    What an earlier run may have left is looked for only with `resumes`.
    """

    bucket: Bucket
    where: BucketPlace
    lock: Lock | None = None
    resumes: bool = False

    def place(self, *, files: bool) -> Mapping[str, Any]:
        """See Target."""
        lock = [self.lock.until.isoformat(), self.lock.mode] if self.lock else None
        s3, prefix = named(self.bucket.access, files=files), self.where.prefix
        return {"kind": "bucket", "s3": s3, "prefix": prefix, "lock": lock, "resumes": self.resumes}

    def holds(self, entry: Entry, stop: Stop) -> bool:
        """See Target."""
        if not self.resumes:
            return False
        try:
            with closing(self.bucket.read(key_of(self.where, entry.digest))) as pieces:  # type: ignore[type-var]
                return judged(pieces, entry, stop, lambda _count: None) is None
        except ObjectMissing:
            return False

    def put(self, entry: Entry, pieces: Iterable[bytes]) -> str | None:
        """See Target."""
        key = key_of(self.where, entry.digest)
        return self.bucket.put_blob(key, entry.size, pieces, entry.digest, self.lock).version

    def stands(self, entry: Entry, version: str | None, head: bytes | None) -> bool:
        """See Target; it is locked for as long as was asked for, too."""
        key = key_of(self.where, entry.digest)
        try:
            if self.lock is not None:
                until = self.bucket.locked_until(key, version)
                if until is None or until < self.lock.until:
                    return False
            found = self.bucket.head(key, max(1, len(head or b"")), version)
        except ObjectMissing:
            return False
        return head is None or found == head


@dataclass(frozen=True)
class DirectoryTarget:
    """A registry's root directory; blobs are written below `partial`, a directory of this run's in it.

    It is there for as long as somebody waits for what is written, and says on a worker that both see the
    same storage. What the root directory `old` has is shared by hard links. With `lasting` a blob has left
    this machine's memory before it has its name: what a worker has done counts also when its machine is lost.
    With `bare` blobs are read and hashed as ever, and only manifests are kept: of any other there is a file
    of its size with nothing in it, which takes no room, and reads as zeros.
    """

    root: Path
    partial: str
    old: Path | None = None
    lasting: bool = False
    bare: bool = False

    def place(self, *, files: bool) -> Mapping[str, Any]:  # noqa: ARG002 - a directory needs none
        """See Target."""
        old = str(self.old) if self.old else None
        found = {"kind": "directory", "root": str(self.root), "partial": self.partial, "old": old}
        return found | {"bare": self.bare}

    def holds(self, entry: Entry, stop: Stop) -> bool:
        """See Target: what is there, and what `old` has; its name alone proves nothing after a power cut."""
        if self.bare:
            return False
        path = storage.blob_path(self.root, entry.digest)
        try:
            there = path.stat().st_size == entry.size
        except FileNotFoundError:
            there = False
        if there and DirectorySource(self.root).look(entry, stop, lambda _count: None) is None:
            return True
        return bool(self.old and keeping.share(self.old, self.root, entry.digest, entry.size))

    def put(self, entry: Entry, pieces: Iterable[bytes]) -> str | None:
        """See Target."""
        target = storage.blob_path(self.root, entry.digest)
        # Two workers may be given the same, and one of them is the slower.
        own = self.root / self.partial / f"{target.parent.name}.{secrets.token_hex(8)}"
        try:
            try:
                self._write(own, entry, pieces)
                storage.make_directory(self.root, str(storage.blob_name(entry.digest).parent))
                own.replace(target)
            finally:
                own.unlink(missing_ok=True)
        except OSError as error:
            raise ToolFailed(
                f"cannot write {target}: {error.strerror}", hint="is there room for it?"
            ) from None
        return None

    def stands(self, entry: Entry, _version: str | None, head: bytes | None) -> bool:
        """See Target."""
        try:
            with storage.blob_path(self.root, entry.digest).open("rb") as file:
                whole = os.fstat(file.fileno()).st_size == entry.size
                return whole and (self.bare or head is None or file.read(len(head)) == head)
        except OSError:
            return False

    def require(self) -> None:
        """Raise ToolFailed where this is not the directory that the machine which runs drkit sees."""
        if not (self.root / self.partial).is_dir():
            raise ToolFailed(
                f"{self.root} is not the directory here that the machine which runs drkit sees there",
                hint="see shared in [cluster]: workers write below a directory that all of them mount",
            )

    def _write(self, own: Path, entry: Entry, pieces: Iterable[bytes]) -> None:
        hasher, size = hashlib.sha256(), 0
        kept = not self.bare or entry.size <= image_manifests.LARGEST
        with own.open("x+b") as file:
            for piece in pieces:
                hasher.update(piece)
                size += len(piece)
                if size > entry.size:
                    raise WrongBytes(f"{entry.digest} has more than {entry.size:,} bytes")
                if kept:
                    file.write(piece)
            if self.bare:
                _empty(file, size, kept=kept)
            os.fchmod(file.fileno(), 0o644)
            if self.lasting:
                file.flush()
                os.fsync(file.fileno())
        if (size, f"sha256:{hasher.hexdigest()}") != (entry.size, entry.digest):
            raise WrongBytes(f"the bytes of {entry.digest} hash to sha256:{hasher.hexdigest()}")


def _empty(file: BinaryIO, size: int, *, kept: bool) -> None:
    """Take out what was written, unless it may be a manifest; the file stays as long as its blob is."""
    if kept:
        file.seek(0)
        if image_manifests.may_be_one(file.read()):
            return
        file.truncate(0)
    file.truncate(size)


@contextmanager
def directory(root: Path, old: Path | None = None, *, bare: bool = False) -> Iterator[DirectoryTarget]:
    """A root directory to be filled while this lasts; nobody may write there for a run before."""
    try:
        for left in root.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left)
        made = root / f"{_PARTIAL}{secrets.token_hex(8)}"
        made.mkdir(mode=0o700)
    except OSError as error:
        raise ToolFailed(f"cannot write {root}: {error.strerror}") from None
    try:
        yield DirectoryTarget(root, made.name, old, bare=bare)
    finally:
        with tidying.undisturbed():
            _remove(made)


def _remove(partial: Path) -> None:
    """Whoever was told to stop may still be removing what he wrote."""
    # First by another name: nothing new comes to be in there then.
    gone = partial.rename(partial.with_name(f"{partial.name}.gone"))
    shutil.rmtree(gone, ignore_errors=True)
    if gone.exists():
        shutil.rmtree(gone)
