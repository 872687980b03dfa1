"""The image blobs of a bucket: what the vault lacks is copied there, the links go into one archive.

The inventory of a point says which blobs it needs of the vault. It is made in files of the run's directory,
sorted by digest, so that memory stays flat.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from drkit.blobs import inventory
from drkit.blobs.bucket import plan as bucket_plan
from drkit.blobs.bucket.by_service import left_over
from drkit.blobs.bucket.links_packing import Packer
from drkit.blobs.bucket.plan import Missing
from drkit.blobs.bucket.to_copy import ToCopy
from drkit.blobs.ends import Ends, below
from drkit.blobs.inventory import Entry
from drkit.blobs.units.executors import Executor, Threads
from drkit.blobs.units.sources import BucketSource
from drkit.blobs.units.targets import BucketTarget
from drkit.blobs.units.unit import Outcome, Wrong
from drkit.blobs.units.work import Copying
from drkit.blobs.vault.object_lock import Locking
from drkit.blobs.vault.pending_copies import PendingCopies
from drkit.blobs.vault.reading import VaultReader, key_of
from drkit.errors import ObjectMissing, WrongBytes
from drkit.model import Bucketed, Shared
from drkit.progress import Listener, Meter, Update
from drkit.registry import links
from drkit.tools.parallel import in_order
from drkit.tools.sorted_stream import SortedStream
from drkit.tools.tally import Tally

# So many copies are under way at once: small blobs are a matter of waiting, not of bytes.
_COPIES = 64
_PLAN = "list blobs"
_STAGE = "copy blobs"
# Progress is told of each time that so many more have been listed.
_TOLD = 5_000


@dataclass
class Copied:
    """What a copying has come to; filled by many threads."""

    copied: int = 0
    bytes: int = 0
    bad: Tally[str] = field(default_factory=Tally)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def good(self, size: int) -> None:
        """One more, of so many bytes."""
        with self.lock:
            self.copied += 1
            self.bytes += size


class _OtherwiseError(Exception):
    """The service does not copy a blob: it goes the other way, and is in doubt until then."""


class BucketCapture:
    """The capture of one bucket into its vault; `directory` is the run's own, `before` the last inventory."""

    def __init__(
        self,
        ends: Ends,
        directory: Path,
        before: Callable[[], Iterable[Entry]],
        locking: Locking,
        listener: Listener,
        doubts: PendingCopies | None = None,
        damaged: Collection[str] = frozenset(),
        only: Callable[[], Iterable[Entry]] | None = None,
        executor: Executor | None = None,
    ) -> None:
        self._executor = executor or Threads(_COPIES)
        # Only what these list is taken, where not all is; sorted by digest.
        self._only = only
        self._damaged = damaged
        self.repaired: list[str] = []
        # Only what a service copies by itself is there before it is proven.
        self._doubts = doubts if ends.vault.same_service(ends.source) else None
        # Who had a part in the copying, if this process did not do it all.
        self.shared: Shared | None = None
        self.count = bucket_plan.PlanCount()
        self.nested = bucket_plan.Nested()
        self.copied = Copied()
        self.links = links.LinkCount()
        self.inventory = directory / inventory.FILE_NAME
        self.bytes = 0
        self._ends = ends
        self._directory = directory
        self._before = before
        self._locking = locking
        self._listener = listener
        self._missing = directory / "missing.db"
        self._locked_until: datetime | None = None

    def link_pieces(self, notice: Callable[[str, str], object]) -> Iterator[bytes]:
        """The archive of all links; `notice` is told of each one's path below the root, and what it holds."""
        source = self._ends.source
        packer = Packer(self._ends.source_place.prefix, source.read_small, self.links)
        yield from packer.pieces(source.listed_at_once(self._ends.links), notice)

    def copy(self) -> None:
        """Copy what the vault lacks, lock what has to be, and write the inventory.

        Raises ToolFailed; what was copied until then stays, and the next run goes on from there.
        """
        present = self._directory / "present.jsonl"
        with closing(ToCopy(self._missing)) as work:
            work.begin()
            with present.open("wb") as file:
                file.writelines(inventory.to_lines(work.filtered(self._plan())))
            meter = Meter(self._listener, _STAGE, self.count.missing_bytes)
            left: Iterable[Entry] = work.to_do()
            if self._ends.vault.same_service(self._ends.source):
                left = left_over(left, partial(self._by_service, work, meter), self._directory)
            self._executor.run(left, self._copying(), partial(self._settle, work), meter)
            self.shared = self._executor.shared
            if self.shared and self._locking.versioned:
                self._put_on_top(work)
            self._listener(Update(_STAGE, finished=True))
            kept = self._locked(inventory.from_file(present))
            new = (entry._replace(locked_until=self._locking.until) for entry in work.done())
            entries = heapq.merge(kept, new, key=attrgetter("digest"))
            with self.inventory.open("wb") as file:
                file.writelines(inventory.to_lines(self._counted(entries)))

    def is_bad(self, digest: str) -> bool:
        """Whether this blob's bytes are not what its name says, so that the vault has not taken it."""
        with closing(ToCopy(self._missing)) as work:
            return work.is_bad(digest)

    def _plan(self) -> Iterator[Entry | Missing]:
        ends = self._ends
        source = bucket_plan.blobs(ends.source.listed_at_once(ends.blobs), ends.blobs, self.nested)
        planned = bucket_plan.plan(
            bucket_plan.needed(source, self._only()) if self._only else source,
            bucket_plan.blobs(
                ends.vault.listed_at_once(ends.kept, versions=self._locking.has_versions),
                ends.kept,
                suspended=self._locking.suspended,
            ),
            self._before(),
            below(ends.vault_place),
            self._locking.needed_until,
            self.count,
            self._damaged,
        )
        for each in planned:
            if self.count.blobs % _TOLD == 0:
                self._listener(Update(_PLAN, self.count.blobs, None, "items"))
            yield each
        self._listener(Update(_PLAN, finished=True))

    def _copying(self) -> Copying:
        ends = self._ends
        shelf = VaultReader(ends.source, ends.source_place, original=True)
        target = BucketTarget(ends.vault, ends.vault_place, self._locking.at_once)
        return Copying(BucketSource(shelf, any_copy=False), target)

    def _by_service(self, work: ToCopy, meter: Meter, blob: Entry) -> bool:
        """Whether there is nothing more to do with a blob: the service has copied it, or there is none."""
        ends, digest = self._ends, blob.digest
        if not ends.vault.may_copy(ends.source, blob.size):
            # There is nothing to doubt then: the next run would read all of them that had come another way.
            return False
        key, lock = key_of(ends.vault_place, digest), self._locking.at_once
        try:
            with self._doubts.under_way(digest) if self._doubts else contextlib.nullcontext():
                put = ends.vault.copy_by_service(ends.source, blob.key, key, blob.size, digest, lock)
                if put is None:
                    raise _OtherwiseError
        except _OtherwiseError:
            return False
        except WrongBytes:
            self._spoil(work, digest)
        except ObjectMissing:
            # As for those that are gone in `_settle`.
            pass
        else:
            self._keep(work, blob, put.version)
            meter.add(blob.size)
        return True

    def _settle(self, work: ToCopy, blob: Entry, found: Outcome) -> None:
        """What has come of one; one that was deleted meanwhile is simply not there."""
        if not isinstance(found, Wrong):
            self._keep(work, blob, found.version)
        elif found.kind != "gone":
            # Not on the inventory then, as what is gone is not: if a database refers to it, the closure
            # fails or tells of it.
            self._spoil(work, blob.digest)
        if self._doubts and not isinstance(found, Wrong):
            # What the service may have copied of a wrong one is looked at by the next run.
            self._doubts.proven(blob.digest)

    def _put_on_top(self, work: ToCopy) -> None:
        """Copy once more what has another version over the one that counts.

        A worker for whom nobody waited any more has put it: the next backup would take it for a stranger's.
        """

        def settle(blob: Entry, found: Outcome) -> None:
            if not isinstance(found, Wrong):
                work.keep(blob.digest, found.version)

        kept = self._ends.kept
        listed = bucket_plan.blobs(self._ends.vault.listed_at_once(kept, versions=True), kept)
        there = SortedStream(listed, attrgetter("digest"))
        under = (
            Entry(entry.digest, source, entry.size)
            for entry, source in work.done_from()
            if (found := there.at(entry.digest)) is None or found.version != entry.version
        )
        self._executor.run(under, self._copying(), settle, Meter(self._listener, _STAGE, None))

    def _keep(self, work: ToCopy, blob: Entry, version: str | None) -> None:
        work.keep(blob.digest, version)
        self.copied.good(blob.size)
        if blob.digest in self._damaged:
            self.repaired.append(blob.digest)

    def _spoil(self, work: ToCopy, digest: str) -> None:
        self.copied.bad.add(digest)
        work.spoil(digest)

    def _locked(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """What the vault had already, each locked for long enough where the vault can lock."""
        if self._locking.until is None:
            yield from entries
            return
        for short, run in groupby(entries, key=lambda entry: entry.locked_until is None):
            yield from self._lasting(run, short=short)

    def _lasting(self, entries: Iterable[Entry], *, short: bool) -> Iterable[Entry]:
        extend = partial(self._locking.extend, self._ends.vault)
        return in_order(entries, extend, _COPIES) if short else entries

    def _counted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        self.bytes = 0
        for entry in entries:
            self.bytes += entry.size
            if entry.locked_until is not None:
                self._locked_until = min(self._locked_until or entry.locked_until, entry.locked_until)
            yield entry

    def summary(self) -> Bucketed:
        """What the manifest says of it."""
        return Bucketed(
            source=self._ends.source_place,
            vault=self._ends.vault_place,
            copied=self.copied.copied,
            copied_bytes=self.copied.bytes,
            bad=self.copied.bad.count,
            bad_names=self.copied.bad.first,
            versioned=self._locking.versioned,
            locked_until=self._locked_until,
        )

    @property
    def warnings(self) -> Iterator[str]:
        """What there is to say of it, a sentence each."""
        if self.copied.bad:
            names = ", ".join(self.copied.bad.first[:3])
            yield (
                "production is damaged: the vault has not taken blobs whose bytes do not hash to their names"
                f" ({self.copied.bad.count:,}): {names}"
            )
        if self.repaired:
            yield (
                "blobs that were found damaged in the vault were copied again from production"
                f" ({len(self.repaired):,}): {', '.join(sorted(self.repaired)[:3])}"
            )
        if left := set(self._damaged) - set(self.repaired):
            yield (
                f"{len(left)} blobs are damaged in the vault and production does not have them any more, so"
                f" that older points cannot bring them back: {', '.join(sorted(left)[:3])}"
            )
        if self.nested.count:
            yield (
                f"another registry's tree stands among the blobs of {self._ends.source_place.where}:"
                f" {self.nested.count} objects, such as {self.nested.first}, are not in this point"
            )
        if self.count.vanished:
            names = ", ".join(self.count.vanished.first[:3])
            yield (
                f"somebody has removed or overwritten {self.count.vanished.count} blobs in the vault since"
                f" the last point; they were copied again: {names}"
            )
