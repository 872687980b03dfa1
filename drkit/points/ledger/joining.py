"""A new ledger of one store: what earlier ones say, what is there now, and what this run has read.

Several hosts may have written ledgers side by side: of each item the mark counts that ranks highest, in
whatever order they are brought together. All of it is sorted by name and passes as a stream.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from drkit import tidying
from drkit.model import CLOCK_SKEW
from drkit.model.reread import Proved, StoreKind, StoreProofs
from drkit.points.ledger import records
from drkit.points.ledger.marks import Mark, Marks, believed
from drkit.points.ledger.records import LedgerFile, Record
from drkit.points.ledger.spool import Spool

_PREFIXES = 256
_HELD_BYTES = 1 << 16
# What nobody has met, or read, for so long is there no more.
FORGOTTEN = timedelta(days=730)
_END: Record = (b"\xff" * (records.NAME_BYTES + 1), 0, 0)


@dataclass(frozen=True)
class Reader:
    """Who reads: one run of a verb on a host, at a moment.

    `now`, by default the same, is when its ledger is opened: what others have done until then is not to come.
    """

    run: str
    verb: str
    host: str
    at: datetime
    now: datetime | None = None

    @property
    def present(self) -> datetime:
        """What is dated later than this is dated in the future."""
        return self.now or self.at

    def mark(self, *, right: bool) -> Mark:
        """What it leaves on what it has read."""
        return Mark("read" if right else "wrong", self.at, self.run, self.verb, self.host)


class Round:
    """One run's work on the ledger of one store; `old` are the ledgers that there are of it.

    What is in none of them was not there when it was listed last; before the first ledger it may be as old as
    `oldest`, the oldest that anything in the store can be. Without a listing it `grows` by what is read. One
    that ends early tells nothing: what it has not come to is no newer than it was, and is still there.
    `directory` is the run's own, and is made; `spool` has what was read already.
    """

    def __init__(
        self,
        kind: StoreKind,
        where: str,
        old: Sequence[LedgerFile],
        reader: Reader,
        oldest: datetime,
        directory: Path,
        *,
        grows: bool = True,
        spool: Spool | None = None,
    ) -> None:
        directory.mkdir(mode=0o700)
        self.grows = grows
        self.kind, self.where = kind, where
        self.spool = spool or Spool(directory / "read")
        self.estimated = False
        self._directory, self._reader = directory, reader
        # This repository is the same, whatever a host calls it; of vaults there may be two.
        self._old = [each for each in old if each.kind == kind and (kind != "vault" or each.where == where)]
        listings = [e.listed_at for e in self._old if e.listed_at <= reader.present + CLOCK_SKEW]
        self._listed_at = max(listings, default=oldest)
        # Of what is dated in the future nobody knows anything.
        self._counted = {
            mark: believed(mark, reader.present, CLOCK_SKEW, oldest)
            for each in self._old
            for number, mark in enumerate(each.marks)
            if number in each.used
        }
        self._new = Mark("unread", self._listed_at)
        self._right, self._wrong = reader.mark(right=True), reader.mark(right=False)
        self._marks = Marks([*self._counted.values(), self._new, self._right, self._wrong])
        self._unread = self._marks.number(self._new)
        self._known = self.known()
        self._head = next(self._known, _END)
        self._last, self._turn = b"", 0
        self._path = directory / "listed"
        self._held, self._size = bytearray(), 0
        self._is_listed = False

    @property
    def listed_at(self) -> datetime:
        """When the store was listed last before this run."""
        return self._listed_at

    @property
    def is_first(self) -> bool:
        """Whether there is no ledger of the store yet."""
        return not self._old

    @property
    def counts(self) -> bool:
        """Whether it can say what there is in the store."""
        return self._is_listed or self.grows or not self.is_first

    def known(self) -> Iterator[Record]:
        """What all earlier ledgers say together, by the numbers of this round's marks."""
        streams = [self._numbered(each) for each in self._old]
        if len(streams) == 1:
            return streams[0]
        return _highest(heapq.merge(*streams, key=itemgetter(0)))

    def listed(self, digest: str, size: int) -> int:
        """An item is there; given in the order of their names. Returns its turn: the lowest is read first.

        An item that comes twice, as in two versions, counts once. `all_listed` says that this was all.
        """
        self.grows = False
        name = records.name_of(digest)
        if name == self._last:
            return self._turn
        while self._head[0] < name:
            self._head = next(self._known, _END)
        number = self._head[1] if self._head[0] == name else self._unread
        self._last, self._turn = name, self._marks.turns[number]
        self._held += records.pack(name, number, records.rounded(size))
        if len(self._held) >= _HELD_BYTES:
            self._flush()
        return self._turn

    def all_listed(self) -> None:
        """Whatever is in the store was given to `listed`."""
        self.grows = False
        self._is_listed = True

    def write(self, path: Path) -> StoreProofs:
        """Write the new ledger, and count what is in it.

        It has what was listed, where that was all; else all that is known, and what was read if it grows.
        """
        self._flush()
        tally = _Tally(len(self._marks.every))
        base = records.unpacked(self._path) if self._is_listed else self.known()
        found = self._judged(base)
        at = self._reader.at if self._is_listed else self._listed_at
        records.write(path, self.kind, self.where, at, self._marks.every, tally.counted(found))
        return tally.proofs(self.kind, self.where, self._marks.every, estimated=self.estimated)

    def _flush(self) -> None:
        # Whole, for what was read before an interruption is written down after it.
        with tidying.undisturbed():
            self._size = records.append(self._path, self._held, self._size)
            self._held.clear()

    def _numbered(self, old: LedgerFile) -> Iterator[Record]:
        numbers = [
            self._marks.number(self._counted[mark]) if number in old.used else 0
            for number, mark in enumerate(old.marks)
        ]
        if self.kind == "blobs":
            # Nobody lists them: what no drill has met for long is in no point any more.
            late = self._reader.at - FORGOTTEN
            old_ones = {number for number, mark in enumerate(old.marks) if mark.at < late}
            yield from ((n, numbers[m], s) for n, m, s in old.records() if m not in old_ones)
            return
        for name, mark, size in old.records():
            yield name, numbers[mark], size

    def _judged(self, base: Iterator[Record]) -> Iterator[Record]:
        """The records with the marks of what this run has read, a prefix at a time."""
        right, wrong = self._marks.number(self._right), self._marks.number(self._wrong)
        groups = groupby(base, key=lambda record: record[0][0])
        head = next(groups, None)
        for prefix in range(_PREFIXES):
            rows: dict[bytes, tuple[int, int]] = {}
            if head is not None and head[0] == prefix:
                rows = {name: (mark, size) for name, mark, size in head[1]}
                head = next(groups, None)
            count = len(rows)
            for name, (good, size) in self.spool.of(prefix).items():
                mark = right if good else wrong
                if known := rows.get(name):
                    # A drill's readings are older than what another host may have found in its hours.
                    rows[name] = (max(mark, known[0]), size)
                elif self.grows:
                    # Where it does not, this was removed meanwhile.
                    rows[name] = (mark, size)
            names: Iterable[bytes] = rows if len(rows) == count else sorted(rows)
            for name in names:
                yield name, *rows[name]


def _highest(merged: Iterable[Record]) -> Iterator[Record]:
    """Of each item the record with the highest mark."""
    for _, same in groupby(merged, key=itemgetter(0)):
        yield max(same, key=itemgetter(1))


class _Tally:
    """Items and bytes by the number of their mark."""

    def __init__(self, marks: int) -> None:
        self._items, self._bytes = [0] * marks, [0] * marks

    def counted(self, found: Iterable[Record]) -> Iterator[Record]:
        items, sizes, size_of = self._items, self._bytes, records.size_of
        for record in found:
            items[record[1]] += 1
            sizes[record[1]] += size_of(record[2])
            yield record

    def proofs(self, kind: StoreKind, where: str, marks: Sequence[Mark], *, estimated: bool) -> StoreProofs:
        every = [
            (mark, items, size)
            for mark, items, size in zip(marks, self._items, self._bytes, strict=True)
            if items
        ]
        read = tuple(Proved(mark.at, items, size) for mark, items, size in every if mark.state == "read")
        unread = tuple(Proved(mark.at, items, size) for mark, items, size in every if mark.state == "unread")
        wrong = [(items, size) for mark, items, size in every if mark.state == "wrong"]
        return StoreProofs(
            kind,
            where,
            read,
            unread,
            sum(items for items, _ in wrong),
            sum(size for _, size in wrong),
            estimated,
        )
