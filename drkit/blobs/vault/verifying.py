"""A vault against the inventories that rely on it: what is listed there, and as much as is wished read."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol

from drkit.blobs import inventories
from drkit.blobs.ends import below
from drkit.blobs.inventory import Entry
from drkit.blobs.units.executors import Executor
from drkit.blobs.units.sources import BucketSource
from drkit.blobs.units.unit import Outcome, Wrong
from drkit.blobs.units.work import Hashing
from drkit.blobs.vault import damage, fetching
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.reading import WORKERS, VaultReader
from drkit.errors import ObjectMissing, ToolFailed
from drkit.model import BucketPlace, PointManifest, Shared, utc_now
from drkit.progress import Listener, Meter, Update
from drkit.registry import storage
from drkit.state.directory import new_id
from drkit.tools.parallel import for_each
from drkit.tools.process import stopping
from drkit.tools.restic.repository import Repository
from drkit.tools.s3.bucket import Bucket, Object
from drkit.tools.sorted_stream import SortedStream, grouped
from drkit.tools.tally import Tally

STAGE = "verify the vault"
# So many locks are asked for at each verify: who shortens locks hardly does it to a few.
_LOCKS = 200
_TOLD = 5_000


@dataclass(frozen=True)
class VaultVerified:
    """A vault that was compared with the inventories of all sealed points that rely on it.

    `hidden` blobs are deleted or written over, and their versions that the inventories name are still there;
    `read` of `read_bytes` were read and hashed. `bad` ones are gone or are not what they should be, `faults`
    says it of up to twenty. Of `locks_read` locks, taken by chance, `locks_short` end before the inventories
    say. `unrecorded` is why nothing of this could be written down in the vault. `elsewhere` is where some of
    the points have their blobs, if that is not here. `cluster` is who read blobs, if not this machine.
    """

    where: str
    points: int
    blobs: int
    bytes: int
    hidden: int
    read: int
    read_bytes: int
    bad: int = 0
    faults: tuple[str, ...] = ()
    locks_read: int = 0
    locks_short: int = 0
    unrecorded: str = ""
    elsewhere: str = ""
    cluster: Shared | None = None


class Reading(Protocol):
    """Which blobs are read, and who is told what came of it."""

    def wants(self, entry: Entry) -> bool:
        """Whether to read it now; asked of each entry once, sorted by digest."""

    def later(self) -> Iterable[Entry]:
        """What is to be read when all were seen."""

    def judged(self, entry: Entry, *, right: bool) -> None:
        """It was read and is `right`, or is not; by several threads."""


class Verification:
    """One comparison of a vault with the points that rely on it; `directory` is the run's own."""

    def __init__(
        self,
        bucket: Bucket,
        place: BucketPlace,
        repository: Repository,
        manifests: Sequence[PointManifest],
        directory: Path,
        listener: Listener,
        executor: Executor,
    ) -> None:
        self._executor = executor
        self._bucket = bucket
        self._place = place
        self._repository = repository
        self._manifests = manifests
        self._directory = directory
        self._listener = listener
        self._lock = threading.Lock()
        self._blobs = self._bytes = self._hidden = self._read = self._read_bytes = 0
        self._faults = Tally[str]()
        self._right: set[str] = set()
        self._shelf = VaultReader(bucket, place, original=True)
        self._locks = Sample(_LOCKS)
        self._short = 0
        self._known: tuple[damage.Damage, ...] = ()

    def run(self, reading: Reading) -> VaultVerified:
        """Compare everything, and read what is wanted; raises the bucket's errors and restic's.

        What was found wrong before is read in any case.
        """
        meter = Meter(self._listener, STAGE, None)
        self._known = damage.remembered(self._bucket, self._place)
        doubted = damage.digests(self._known)
        entries = self._sound(reading, lambda entry: reading.wants(entry) or entry.digest in doubted)
        hashing = Hashing(BucketSource(self._shelf, any_copy=True))

        def every() -> Iterator[Entry]:
            yield from entries
            yield from reading.later()

        # At once: what a worker is found to be in the end holds for all that it has done.
        self._executor.run(every(), hashing, partial(self._settle, reading), meter)
        for_each(self._locks.entries, self._look_at_lock, WORKERS)
        self._listener(Update(STAGE, finished=True))
        return VaultVerified(
            self._place.where,
            len(self._manifests),
            self._blobs,
            self._bytes,
            self._hidden,
            self._read,
            self._read_bytes,
            self._faults.count,
            self._faults.first,
            len(self._locks.entries),
            self._short,
            cluster=self._executor.shared,
        )

    def write_down(self) -> str:
        """Keep what was found for the next backup, and forget what is right now; says why if it cannot."""
        before, now = damage.digests(self._known), self._shelf.faults.digests
        locks = 0 if any(each.locks for each in self._known) else self._short
        sound = bool(self._locks.entries) and not self._short
        try:
            damage.settle(self._bucket, self._known, self._right - now, locks=sound)
            run = new_id(utc_now())
            damage.remember(self._bucket, self._place, run, "verify", now - before, locks)
        except ToolFailed as error:
            return error.message
        return ""

    def _sound(self, reading: Reading, wanted: Callable[[Entry], bool]) -> Iterator[Entry]:
        """The entries that are there as they should be and are to be read; faults for those that are not."""
        lines = partial(vault_reading.lines_for, self._place, self._repository)
        streams = [partial(lines, manifest) for manifest in self._manifests]
        entries = inventories.merged(streams, self._directory)
        versions = (
            any(m.bucket and m.bucket.versioned for m in self._manifests) or self._bucket.has_versions()
        )
        prefix = f"{below(self._place)}{storage.BLOBS}/"
        listed = self._bucket.listed_at_once(prefix, versions=versions)
        for entry, found in compared(self._place, entries, listed):
            stopping.stop_if_asked()
            self._blobs += 1
            self._bytes += entry.size
            self._hidden += found.hidden
            self._locks.offer(entry)
            if self._blobs % _TOLD == 0:
                self._listener(Update(STAGE, self._blobs, None, "items"))
            asked = wanted(entry)
            if found.fault:
                self._fault(entry, found.fault)
                reading.judged(entry, right=False)
            elif found.another or asked:
                yield entry

    def _look_at_lock(self, entry: Entry) -> None:
        """Ask the service itself when a lock ends: the inventory only says what was asked for."""
        stopping.stop_if_asked()
        assert entry.locked_until is not None
        try:
            until = self._bucket.locked_until(entry.key, entry.version)
        except ObjectMissing:
            # Told elsewhere.
            return
        if until is None or until < entry.locked_until:
            with self._lock:
                self._short += 1

    def _settle(self, reading: Reading, entry: Entry, found: Outcome) -> None:
        wrong = isinstance(found, Wrong)
        reading.judged(entry, right=not wrong)
        with self._lock:
            self._read += 1
            self._read_bytes += entry.size
            if not wrong:
                self._right.add(entry.digest)
        if isinstance(found, Wrong):
            self._fault(entry, fetching.told(entry, found))

    def _fault(self, entry: Entry, sentence: str) -> None:
        self._shelf.faults.note(entry.digest)
        self._faults.add(sentence)


class Sample:
    """So many of the locked entries of a stream, each with the same chance."""

    def __init__(self, size: int) -> None:
        self.entries: list[Entry] = []
        self._size = size
        self._seen = 0
        self._dice = random.SystemRandom()

    def offer(self, entry: Entry) -> None:
        """Take it, or not."""
        if entry.locked_until is None:
            return
        self._seen += 1
        if len(self.entries) < self._size:
            self.entries.append(entry)
        elif (place := self._dice.randrange(self._seen)) < self._size:
            self.entries[place] = entry


class Compared(NamedTuple):
    """What a listing says of an entry.

    `hidden`: its version is there and a newer one lies over it. `another`: its version is gone, and another
    one of the same size is there, which is as good if it hashes right.
    """

    fault: str = ""
    hidden: bool = False
    another: bool = False


def compared(
    place: BucketPlace, entries: Iterable[Entry], listed: Iterable[Object]
) -> Iterator[tuple[Entry, Compared]]:
    """Each entry, and what a listing says of it.

    Entries are sorted by digest, the listing by key, which is the same order in a vault.
    """
    there = SortedStream(grouped(listed, attrgetter("key")), itemgetter(0))
    for entry in entries:
        found = there.at(vault_reading.key_of(place, entry.digest))
        yield entry, _judge(entry, found[1] if found else [])


def missing(bucket: Bucket, place: BucketPlace, entries: Iterable[Entry]) -> tuple[str, ...]:
    """What is wrong, in a listing of this moment, with the entries of one inventory: a sentence each.

    For a caller that has just stored them: no other version will do.
    """
    prefix = f"{below(place)}{storage.BLOBS}/sha256/"
    listed = bucket.listed_at_once(prefix, versions=bucket.has_versions())
    return tuple(
        found.fault or f"{entry.digest} (version {entry.version}) is gone from the vault"
        for entry, found in compared(place, entries, listed)
        if found.fault or found.another
    )


def _judge(entry: Entry, there: Sequence[Object]) -> Compared:
    alive = [each for each in there if not each.deleted]
    if entry.version is None:
        one = next((each for each in alive if each.latest), None)
    else:
        one = next((each for each in alive if each.version == entry.version), None)
    if one is not None and one.size == entry.size:
        return Compared(hidden=entry.version is not None and not one.latest)
    if any(each.size == entry.size for each in alive):
        return Compared(another=True)
    if one is None:
        of = f" (version {entry.version})" if entry.version and there else ""
        return Compared(f"{entry.digest}{of} is gone from the vault")
    return Compared(f"{entry.digest} has {one.size:,} bytes in the vault and should have {entry.size:,}")
