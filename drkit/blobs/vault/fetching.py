"""The blobs of a bucket's point, brought from the vault into a directory.

Side by side; each is hashed while it comes, under another name, and has its own only when the hash is right.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from drkit.blobs.directory import keeping
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.reading import WORKERS, Copy, VaultReader
from drkit.errors import ObjectMissing, ToolFailed, WrongBytes
from drkit.progress import Meter
from drkit.registry import storage
from drkit.tools.parallel import for_each
from drkit.tools.process import stopping
from drkit.tools.tally import Tally

_BEING_WRITTEN = ".drkit-partial"


@dataclass(frozen=True)
class Fetched:
    """What came from a vault: `kept` blobs were there already and hash to their names.

    `bad` blobs are gone from the vault or are not what they should be, `faults` says it of up to twenty.
    """

    blobs: int
    bytes: int
    kept: int
    bad: int
    faults: tuple[str, ...]

    def describe(self, where: str) -> str:
        """A sentence with the numbers."""
        kept = f", {self.kept:,} of them were there already" if self.kept else ""
        return (
            f"{self.blobs:,} blobs, {self.bytes / (1 << 20):,.1f} MiB from {where}{kept}, every byte hashed"
        )


class BlobCount:
    """Counts from several threads."""

    def __init__(self) -> None:
        self._blobs = 0
        self._bytes = 0
        self._kept = 0
        self._faults = Tally[str]()
        self._lock = threading.Lock()

    def good(self, size: int, *, kept: bool = False) -> None:
        """A blob is there."""
        with self._lock:
            self._blobs += 1
            self._bytes += size
            self._kept += kept

    def fault(self, sentence: str) -> None:
        """A blob cannot be had."""
        self._faults.add(sentence)

    @property
    def found(self) -> Fetched:
        """What was counted so far."""
        with self._lock:
            return Fetched(self._blobs, self._bytes, self._kept, self._faults.count, self._faults.first)


def fetch(
    shelf: VaultReader,
    entries: Iterable[Entry],
    root: Path,
    meter: Meter,
    old: Path | None = None,
    arrived: Callable[[str], object] = lambda _digest: None,
) -> Fetched:
    """Bring blobs below the registry's root directory.

    What an interrupted call left is hashed and kept, and so is what another root directory, `old`, has: by
    hard links. A blob that is wrong or gone in the vault does not stop
    the others; what stops all of them (no vault, no right, no room) is raised. `arrived` is told of each
    digest that is there, by several threads.
    """
    count = BlobCount()

    def bring(entry: Entry) -> None:
        if _bring(shelf, root, count, meter, old, entry):
            arrived(entry.digest)

    for_each(entries, bring, WORKERS)
    return count.found


def look(shelf: VaultReader, entry: Entry, meter: Meter | None = None) -> str:
    """Read a blob in the vault to its end; says what is wrong with it, nothing where it is right.

    Another version than the one that is named is as good, if it hashes right.
    """
    return first_sound(shelf, entry, lambda copy: _look_at(shelf, copy, entry, meter))


def _look_at(shelf: VaultReader, copy: Copy, entry: Entry, meter: Meter | None) -> str:
    hasher, size = hashlib.sha256(), 0
    for piece in shelf.read(copy):
        stopping.stop_if_asked()
        hasher.update(piece)
        size += len(piece)
        if meter:
            meter.add(len(piece))
    return judge(entry, size, hasher.hexdigest())


def first_sound(shelf: VaultReader, entry: Entry, attempt: Callable[[Copy], str]) -> str:
    """Try each copy of a blob until one is right; says what is wrong with the first where none is."""
    faults = []
    for copy in shelf.copies(entry):
        try:
            fault = attempt(copy)
        except ObjectMissing:
            fault = f"{entry.digest} is gone from the vault"
        except WrongBytes as error:
            fault = error.message
        if not fault:
            return ""
        faults.append(fault)
    shelf.faults.note(entry.digest)
    return faults[0]


def judge(entry: Entry, size: int, digits: str) -> str:
    """What is wrong with what the vault holds for a blob; nothing where it is right."""
    if size != entry.size:
        return f"{entry.digest} has {size:,} bytes in the vault and should have {entry.size:,}"
    if f"sha256:{digits}" != entry.digest:
        return f"the bytes of {entry.digest} in the vault hash to sha256:{digits}"
    return ""


def _bring(
    shelf: VaultReader, root: Path, count: BlobCount, meter: Meter, old: Path | None, entry: Entry
) -> bool:
    """Whether the blob is there then, and right."""
    stopping.stop_if_asked()
    target = storage.blob_path(root, entry.digest)
    try:
        if _is_there(target, entry) or (old and keeping.share(old, root, entry.digest, entry.size)):
            meter.add(entry.size)
            count.good(entry.size, kept=True)
            return True
        storage.make_directory(root, str(storage.blob_name(entry.digest).parent))
        fault = _write(shelf, entry, target, meter)
    except OSError as error:
        raise ToolFailed(f"cannot write {target}: {error.strerror}", hint="is there room for it?") from None
    if fault:
        count.fault(fault)
    else:
        count.good(entry.size)
    return not fault


def _is_there(target: Path, entry: Entry) -> bool:
    """Whether an earlier attempt brought it; its name alone proves nothing after a power cut."""
    try:
        with target.open("rb") as file:
            if os.fstat(file.fileno()).st_size != entry.size:
                return False
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == entry.digest
    except FileNotFoundError:
        return False


def _write(shelf: VaultReader, entry: Entry, target: Path, meter: Meter) -> str:
    """Write a blob, and give it its name if it is right; says what is wrong with it else."""
    return first_sound(shelf, entry, lambda copy: _write_copy(shelf, copy, entry, target, meter))


def _write_copy(shelf: VaultReader, copy: Copy, entry: Entry, target: Path, meter: Meter) -> str:
    partial_file = target.with_name(_BEING_WRITTEN)
    hasher, size = hashlib.sha256(), 0
    try:
        with partial_file.open("wb") as file:
            for piece in shelf.read(copy):
                stopping.stop_if_asked()
                hasher.update(piece)
                size += len(piece)
                file.write(piece)
                meter.add(len(piece))
            os.fchmod(file.fileno(), 0o644)
        fault = judge(entry, size, hasher.hexdigest())
        if not fault:
            partial_file.replace(target)
    finally:
        partial_file.unlink(missing_ok=True)
    return fault
