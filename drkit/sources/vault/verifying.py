"""A vault against the inventories that rely on it: what is listed there, and as much as is wished read."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from drkit.harbor import storage
from drkit.model import BucketPlace, Manifest
from drkit.progress import Listener, Meter, Update
from drkit.sources.bucket import inventories
from drkit.sources.bucket import restore as bucket_restore
from drkit.sources.bucket.ends import below
from drkit.sources.bucket.inventory import Entry
from drkit.sources.vault import reading as vault_reading
from drkit.sources.vault.reading import WORKERS, Shelf
from drkit.tools import stopping
from drkit.tools.parallel import for_each
from drkit.tools.restic import Repository
from drkit.tools.s3 import Bucket, Object

STAGE = "verify the vault"
_NAMES = 20
_TOLD = 5_000
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class VaultVerified:
    """A vault that was compared with the inventories of all sealed points that rely on it.

    `hidden` blobs are deleted or written over, and their versions that the inventories name are still there;
    `read` of `read_bytes` were read and hashed. `bad` ones are gone or are not what they should be, `faults`
    says it of up to twenty.
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


Wanted = Callable[[Entry], bool]


def share(subset: str | None, total: int) -> Wanted:
    """Which blobs to read: `5%` by chance, `1/7` always the same, `2G` about as much of `total` bytes."""
    if subset is None:
        return lambda _entry: False
    part = re.fullmatch(r"(\d+)/(\d+)", subset)
    if part:
        number, count = int(part[1]) - 1, int(part[2])
        return lambda entry: int(entry.digest[-15:], 16) % count == number
    if subset.endswith("%"):
        chance = float(subset[:-1]) / 100
    else:
        chance = int(subset[:-1]) * _UNITS[subset[-1]] / max(total, 1)
    dice = random.SystemRandom()
    return lambda _entry: chance >= 1 or dice.random() < chance


class Verification:
    """One comparison of a vault with the points that rely on it; `directory` is the run's own."""

    def __init__(
        self,
        bucket: Bucket,
        place: BucketPlace,
        repository: Repository,
        manifests: Sequence[Manifest],
        directory: Path,
        listener: Listener,
    ) -> None:
        self._bucket = bucket
        self._place = place
        self._repository = repository
        self._manifests = manifests
        self._directory = directory
        self._listener = listener
        self._lock = threading.Lock()
        self._blobs = self._bytes = self._hidden = self._read = self._read_bytes = self._bad = 0
        self._faults: list[str] = []

    def run(self, subset: str | None) -> VaultVerified:
        """Compare everything, and read that share; raises the bucket's errors and restic's."""
        largest = max((part.bytes for m in self._manifests if (part := m.images)), default=0)
        shelf = Shelf(self._bucket, self._place, original=True)
        meter = Meter(self._listener, STAGE, None)
        wanted = share(subset, largest)
        for_each(self._sound(wanted), partial(self._look_into, shelf, meter), WORKERS)
        self._listener(Update(STAGE, finished=True))
        return VaultVerified(
            self._place.where,
            len(self._manifests),
            self._blobs,
            self._bytes,
            self._hidden,
            self._read,
            self._read_bytes,
            self._bad,
            tuple(self._faults),
        )

    def _sound(self, wanted: Wanted) -> Iterator[Entry]:
        """The entries that are there as they should be and are to be read; faults for those that are not."""
        lines = partial(vault_reading.lines_for, self._place, self._repository)
        streams = [partial(lines, manifest) for manifest in self._manifests]
        entries = inventories.merged(streams, self._directory)
        versions = any(m.bucket and m.bucket.versioned for m in self._manifests)
        prefix = f"{below(self._place)}{storage.BLOBS}/"
        listed = self._bucket.listed_at_once(prefix, versions=versions)
        for entry, fault, hidden in compared(self._place, entries, listed):
            stopping.stop_if_asked()
            self._blobs += 1
            self._bytes += entry.size
            self._hidden += hidden
            if self._blobs % _TOLD == 0:
                self._listener(Update(STAGE, self._blobs, None, "items"))
            if fault:
                self._fault(fault)
            elif wanted(entry):
                yield entry

    def _look_into(self, shelf: Shelf, meter: Meter, entry: Entry) -> None:
        stopping.stop_if_asked()
        fault = bucket_restore.look(shelf, entry, meter)
        with self._lock:
            self._read += 1
            self._read_bytes += entry.size
        if fault:
            self._fault(fault)

    def _fault(self, sentence: str) -> None:
        with self._lock:
            self._bad += 1
            if len(self._faults) < _NAMES:
                self._faults.append(sentence)


def compared(
    place: BucketPlace, entries: Iterable[Entry], listed: Iterable[Object]
) -> Iterator[tuple[Entry, str, bool]]:
    """Each entry, what is wrong with it in a listing, and whether its version is hidden by a newer one.

    Entries are sorted by digest, the listing by key, which is the same order in a vault.
    """
    groups = groupby(listed, key=attrgetter("key"))
    key, versions = _next(groups)
    for entry in entries:
        wanted = vault_reading.key_of(place, entry.digest)
        while key is not None and key < wanted:
            key, versions = _next(groups)
        there = versions if key == wanted else []
        yield entry, _judge(entry, there), _is_hidden(entry, there)


def _next(groups: Iterator[tuple[str, Iterator[Object]]]) -> tuple[str | None, list[Object]]:
    found = next(groups, None)
    return (found[0], list(found[1])) if found else (None, [])


def _judge(entry: Entry, there: Sequence[Object]) -> str:
    if entry.version is None:
        one = next((each for each in there if each.latest and not each.deleted), None)
    else:
        one = next((each for each in there if each.version == entry.version and not each.deleted), None)
    if one is None:
        of = f" (version {entry.version})" if entry.version and there else ""
        return f"{entry.digest}{of} is gone from the vault"
    if one.size != entry.size:
        return f"{entry.digest} has {one.size:,} bytes in the vault and should have {entry.size:,}"
    return ""


def _is_hidden(entry: Entry, there: Sequence[Object]) -> bool:
    return entry.version is not None and any(
        each.latest and (each.deleted or each.version != entry.version) for each in there
    )
