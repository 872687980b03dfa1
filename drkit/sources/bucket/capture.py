"""The image blobs of a bucket: what the vault lacks is copied there, the links go into one archive.

The inventory of a point says which blobs it needs of the vault. It is made in files of the run's directory,
sorted by digest, so that memory stays flat.
"""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from drkit.errors import ObjectMissing, WrongBytes
from drkit.harbor import links
from drkit.model import Bucketed
from drkit.progress import Listener, Meter, Update
from drkit.sources.bucket import inventory
from drkit.sources.bucket import plan as bucket_plan
from drkit.sources.bucket.ends import Ends, below
from drkit.sources.bucket.inventory import Entry
from drkit.sources.bucket.links_packing import Packer
from drkit.sources.bucket.plan import Missing
from drkit.sources.vault.doubts import Doubts
from drkit.sources.vault.locking import Locking
from drkit.tools.parallel import for_each, in_order

# So many copies are under way at once: small blobs are a matter of waiting, not of bytes.
_COPIES = 64
_NAMES = 20
_PLAN = "list blobs"
_STAGE = "copy blobs"
# Progress is told of each time that so many more have been listed.
_TOLD = 5_000


@dataclass
class Copied:
    """What a copying has come to; filled by many threads."""

    copied: int = 0
    bytes: int = 0
    bad: int = 0
    bad_names: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def good(self, size: int) -> None:
        """One more, of so many bytes."""
        with self.lock:
            self.copied += 1
            self.bytes += size

    def wrong(self, digest: str) -> None:
        """One whose bytes are not what its name says."""
        with self.lock:
            self.bad += 1
            if len(self.bad_names) < _NAMES:
                self.bad_names.append(digest)


class BucketCapture:
    """The capture of one bucket into its vault; `directory` is the run's own, `before` the last inventory."""

    def __init__(
        self,
        ends: Ends,
        directory: Path,
        before: Callable[[], Iterable[Entry]],
        locking: Locking,
        listener: Listener,
        doubts: Doubts | None = None,
    ) -> None:
        # Only what a service copies by itself is there before it is proven.
        self._doubts = doubts if ends.vault.same_service(ends.source) else None
        self.tally = bucket_plan.Tally()
        self.copied = Copied()
        self.links = links.Tally()
        self.inventory = directory / inventory.FILE_NAME
        self.bytes = 0
        self._ends = ends
        self._directory = directory
        self._before = before
        self._locking = locking
        self._listener = listener
        self._missing = directory / "missing.db"
        self._locked_until: datetime | None = None

    def link_pieces(self, notice: Callable[[str], object]) -> Iterator[bytes]:
        """The archive of all links; `notice` is told of each link's path below the registry's root."""
        source = self._ends.source
        packer = Packer(self._ends.source_place.prefix, source.read_small, self.links)
        yield from packer.pieces(source.listed_at_once(self._ends.links), notice)

    def copy(self) -> None:
        """Copy what the vault lacks, lock what has to be, and write the inventory.

        Raises ToolFailed; what was copied until then stays, and the next run goes on from there.
        """
        present = self._directory / "present.jsonl"
        with closing(_Work(self._missing)) as work:
            work.begin()
            with present.open("wb") as file:
                file.writelines(inventory.to_lines(work.filtered(self._plan())))
            meter = Meter(self._listener, _STAGE, self.tally.missing_bytes)
            for_each(work.to_do(), partial(self._copy, work, meter), _COPIES)
            self._listener(Update(_STAGE, finished=True))
            kept = self._locked(inventory.from_file(present))
            new = (entry._replace(locked_until=self._locking.until) for entry in work.done())
            entries = heapq.merge(kept, new, key=attrgetter("digest"))
            with self.inventory.open("wb") as file:
                file.writelines(inventory.to_lines(self._counted(entries)))

    def is_bad(self, digest: str) -> bool:
        """Whether this blob's bytes are not what its name says, so that the vault has not taken it."""
        with closing(_Work(self._missing)) as work:
            return work.is_bad(digest)

    def _plan(self) -> Iterator[Entry | Missing]:
        ends = self._ends
        planned = bucket_plan.plan(
            bucket_plan.blobs(ends.source.listed_at_once(ends.blobs)),
            bucket_plan.blobs(ends.vault.listed_at_once(ends.kept, versions=self._locking.versioned)),
            self._before(),
            below(ends.vault_place),
            self._locking.needed_until,
            self.tally,
        )
        for each in planned:
            if self.tally.blobs % _TOLD == 0:
                self._listener(Update(_PLAN, self.tally.blobs, None, "items"))
            yield each
        self._listener(Update(_PLAN, finished=True))

    def _copy(self, work: _Work, meter: Meter, blob: Missing) -> None:
        """Copy one; one that was deleted meanwhile is simply not there."""
        ends = self._ends
        try:
            with self._doubts.under_way(blob.digest) if self._doubts else contextlib.nullcontext():
                put = ends.vault.copy_blob(
                    ends.source, blob.source_key, blob.key, blob.size, blob.digest, self._locking.at_once
                )
        except WrongBytes:
            self.copied.wrong(blob.digest)
            work.spoil(blob.digest)
        except ObjectMissing:
            # Not on the inventory then: if a database refers to it, the closure fails or tells of it.
            pass
        else:
            work.keep(blob.digest, put.version)
            self.copied.good(blob.size)
            meter.add(blob.size)

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
            bad=self.copied.bad,
            bad_names=tuple(self.copied.bad_names),
            versioned=self._locking.versioned,
            locked_until=self._locked_until,
        )

    @property
    def warnings(self) -> Iterator[str]:
        """What there is to say of it, a sentence each."""
        if self.copied.bad:
            names = ", ".join(self.copied.bad_names[:3])
            yield (
                f"production is damaged: the bytes of {self.copied.bad} blobs do not hash to their names, "
                f"and the vault has not taken them: {names}"
            )
        if self.tally.vanished:
            names = ", ".join(self.tally.vanished_names[:3])
            yield (
                f"somebody has removed or written over {self.tally.vanished} blobs in the vault since the "
                f"last point; they were copied anew: {names}"
            )


class _Work:
    """What is to be copied and what has been, on disk, for several threads."""

    def __init__(self, path: Path) -> None:
        self._store = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            self._store.execute(f"PRAGMA {pragma}")

    def begin(self) -> None:
        """Know of nothing; an earlier attempt of the same run may have left something."""
        self._store.execute("DROP TABLE IF EXISTS blob")
        self._store.execute(
            "CREATE TABLE blob (digest TEXT PRIMARY KEY, source TEXT, key TEXT, size INT, version TEXT,"
            " done INT DEFAULT 0, bad INT DEFAULT 0) WITHOUT ROWID"
        )

    def filtered(self, planned: Iterable[Entry | Missing]) -> Iterator[Entry]:
        """What is there already; what is missing is kept here."""
        insert = "INSERT INTO blob (digest, source, key, size) VALUES (?, ?, ?, ?)"
        # In one transaction: a million of them take seconds instead of minutes.
        self._store.execute("BEGIN")
        for each in planned:
            if isinstance(each, Missing):
                self._store.execute(insert, each)
            else:
                yield each
        self._store.execute("COMMIT")

    def to_do(self) -> Iterator[Missing]:
        """Everything to copy, sorted by digest, a page at a time."""
        query = "SELECT digest, source, key, size FROM blob WHERE digest > ? ORDER BY digest LIMIT 1000"
        last = ""
        while page := self._page(query, last):
            last = page[-1][0]
            yield from (Missing(*row) for row in page)

    def keep(self, digest: str, version: str | None) -> None:
        """This one has been copied."""
        with self._lock:
            self._store.execute("UPDATE blob SET done = 1, version = ? WHERE digest = ?", (version, digest))

    def spoil(self, digest: str) -> None:
        """The bytes of this one are wrong."""
        with self._lock:
            self._store.execute("UPDATE blob SET bad = 1 WHERE digest = ?", (digest,))

    def is_bad(self, digest: str) -> bool:
        """Whether they were."""
        query = "SELECT 1 FROM blob WHERE digest = ? AND bad"
        return bool(self._store.execute(query, (digest,)).fetchone())

    def done(self) -> Iterator[Entry]:
        """What has been copied, sorted by digest."""
        query = (
            "SELECT digest, key, size, version FROM blob WHERE done AND digest > ? ORDER BY digest LIMIT 1000"
        )
        last = ""
        while page := self._page(query, last):
            last = page[-1][0]
            yield from (Entry(*row) for row in page)

    def _page(self, query: str, after: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._store.execute(query, (after,)).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()
