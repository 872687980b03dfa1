"""The blobs of a bucket's point, brought from the vault into a directory.

Side by side, here or by a cluster; each is hashed while it comes, and has its name only when that is right.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from drkit.blobs.inventory import Entry
from drkit.blobs.units import targets
from drkit.blobs.units.executors import Executor, Threads
from drkit.blobs.units.sources import BucketSource
from drkit.blobs.units.unit import Outcome, Wrong
from drkit.blobs.units.work import Copying
from drkit.blobs.vault.reading import WORKERS, VaultReader
from drkit.model import Shared
from drkit.progress import Meter
from drkit.tools.process import stopping
from drkit.tools.tally import Tally


@dataclass(frozen=True)
class Fetched:
    """What came from a vault: `kept` blobs were there already and hash to their names.

    `bad` blobs are gone from the vault or are not what they should be, `faults` says it of up to twenty.
    `shared` is who brought them, if not this machine.
    """

    blobs: int
    bytes: int
    kept: int
    bad: int
    faults: tuple[str, ...]
    shared: Shared | None = None

    def describe(self, where: str) -> str:
        """A sentence with the numbers."""
        kept = f", {self.kept:,} of them were there already" if self.kept else ""
        by = f", by {_workers(self.shared)}" if self.shared else ""
        return (
            f"{self.blobs:,} blobs, {self.bytes / (1 << 20):,.1f} MiB from {where}{kept}, every byte"
            f" hashed{by}"
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

    def found(self, shared: Shared | None = None) -> Fetched:
        """What was counted so far, and who else has brought it."""
        with self._lock:
            return Fetched(
                self._blobs, self._bytes, self._kept, self._faults.count, self._faults.first, shared
            )


def fetch(
    shelf: VaultReader,
    entries: Iterable[Entry],
    root: Path,
    meter: Meter,
    old: Path | None = None,
    arrived: Callable[[str], object] = lambda _digest: None,
    executor: Executor | None = None,
    bare: Callable[[str, str], object] | None = None,
) -> Fetched:
    """Bring blobs below the registry's root directory, which the workers of the executor see as well.

    What an interrupted call left is hashed and kept, and so is what another root directory, `old`, has: by
    hard links. A blob that is wrong or gone in the vault does not stop
    the others; what stops all of them (no vault, no right, no room) is raised. `arrived` is told of each
    digest that is there, by several threads. With `bare` nothing of them but manifests is kept (see
    targets.DirectoryTarget), and it is told of each digest of which another version is right than is named.
    """
    count, executor = BlobCount(), executor or Threads(WORKERS)

    def settle(entry: Entry, found: Outcome) -> None:
        if isinstance(found, Wrong):
            shelf.faults.note(entry.digest)
            count.fault(told(entry, found))
        else:
            if bare and found.other is not None:
                bare(entry.digest, found.other)
            count.good(entry.size, kept=found.kept)
            arrived(entry.digest)

    with targets.directory(root, old, bare=bare is not None) as target:
        copying = Copying(BucketSource(shelf, any_copy=True), target)
        executor.run(shelf.named(entries), copying, settle, meter)
    return count.found(executor.shared)


def look(shelf: VaultReader, entry: Entry) -> str:
    """Read a blob in the vault to its end; says what is wrong with it, nothing where it is right.

    Another version than the one that is named is as good, if it hashes right.
    """
    source = BucketSource(shelf, any_copy=True)
    wrong = source.look(entry, stopping.stop_if_asked, lambda _count: None)
    if wrong is None:
        return ""
    shelf.faults.note(entry.digest)
    return told(entry, wrong)


def told(entry: Entry, wrong: Wrong) -> str:
    """What is wrong with what the vault holds for a blob, in a sentence."""
    match wrong.kind:
        case "gone":
            return f"{entry.digest} is gone from the vault"
        case "longer":
            return f"{entry.digest} has more bytes in the vault than the {entry.size:,} that it should have"
        case "bytes" | "unreadable":
            if wrong.size != entry.size:
                return f"{entry.digest} has {wrong.size:,} bytes in the vault and should have {entry.size:,}"
            return f"the bytes of {entry.digest} in the vault hash to sha256:{wrong.digits}"


def _workers(shared: Shared) -> str:
    count = f"{shared.workers} worker{'' if shared.workers == 1 else 's'} of {shared.scheduler}"
    return f"{count}; {'; '.join(shared.set_aside)}" if shared.set_aside else count
