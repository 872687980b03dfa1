"""How long ago what is stored was last read and found right, and what follows from that; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

# `packs`: restic's files of a repository. `vault`: the blobs of a bucket's points. `blobs`: those of a
# directory, as drills have brought them back from a repository.
StoreKind = Literal["packs", "vault", "blobs"]
LEDGER_SCHEMA = 1
# Over so many days the pace is taken: a weekly run counts as well as a nightly one.
PACE = timedelta(days=7)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Proved:
    """So many items, with so many bytes, of one moment: last read then, or unread at least since then."""

    at: datetime
    items: int
    bytes: int


@dataclass(frozen=True)
class StoreProofs:
    """What a ledger says of one store, as its writer has counted it.

    `read` is by the moment at which items were last read and right, `unread` by that since which they are
    there and were never read, at the latest; `wrong` were read last and were not right. Where `estimated`,
    nobody could tell the size of each item.
    """

    kind: StoreKind
    where: str
    read: tuple[Proved, ...]
    unread: tuple[Proved, ...]
    wrong_items: int = 0
    wrong_bytes: int = 0
    estimated: bool = False


@dataclass(frozen=True)
class LedgerSummary:
    """What stands in a ledger beside its lists: small, for whoever only wants to know how far reading is."""

    schema: int
    at: datetime
    host: str
    stores: tuple[StoreProofs, ...]


@dataclass(frozen=True)
class Reread:
    """How far the reading of a store is at a moment.

    `overdue_bytes`, which are `overdue_share` of all (0 to 1), were not read for longer than the objective
    allows, or were found wrong; without an objective none is. `oldest_seconds` is how long the longest unread
    are so, None where some are wrong; `half_seconds` within how long half of the bytes were read, None where
    it never was. `pace` is the bytes that are read a day, over the last week. `done_at` is when nothing is
    overdue any more at that pace: None where nothing is overdue, or where that day never comes.
    `round_seconds` is how long it takes to read everything once, None where nothing is read.
    """

    kind: StoreKind
    where: str
    items: int
    bytes: int
    overdue_bytes: int
    overdue_share: float
    never_bytes: int
    wrong_bytes: int
    oldest_seconds: float | None
    half_seconds: float | None
    newest_at: datetime | None
    pace: float
    done_at: datetime | None
    round_seconds: float | None
    target_seconds: float | None = None
    estimated: bool = False


def reread(store: StoreProofs, now: datetime, target: timedelta | None, skew: timedelta) -> Reread:
    """How far it is at a moment. What is dated in the future counts as never read, since always."""
    read = [each for each in store.read if each.at <= now + skew]
    unread = [each for each in store.unread if each.at <= now + skew]
    future = [each for each in (*store.read, *store.unread) if each.at > now + skew]
    # Nobody knows since when: as long as anything else at least, and longer than any objective.
    early = min((each.at for each in (*read, *unread)), default=now)
    lost = Proved(min(early, now - target - _DAY) if target else early, *_sums(future)) if future else None
    unread += [lost] if lost else []
    every = [*read, *unread]
    late = [each for each in every if target is not None and now - each.at > target]
    overdue = sum(each.bytes for each in late) + store.wrong_bytes
    pace = sum(each.bytes for each in read if now - each.at <= PACE) / (PACE / _DAY)
    oldest = max(((now - each.at).total_seconds() for each in every if each.items), default=0.0)
    size = sum(each.bytes for each in every) + store.wrong_bytes
    return Reread(
        store.kind,
        store.where,
        sum(each.items for each in every) + store.wrong_items,
        size,
        overdue,
        overdue / size if size else float(store.wrong_items > 0),
        sum(each.bytes for each in unread),
        store.wrong_bytes,
        None if store.wrong_items else max(oldest, 0.0),
        _half(read, size, now),
        max((each.at for each in read if each.items), default=None),
        pace,
        now + overdue / pace * _DAY if overdue and pace else None,
        size / pace * _DAY.total_seconds() if pace else None,
        target.total_seconds() if target else None,
        store.estimated,
    )


def _half(read: Iterable[Proved], size: int, now: datetime) -> float | None:
    """Within how long half of so many bytes were read."""
    seen = 0
    for each in sorted(read, key=lambda proved: proved.at, reverse=True):
        seen += each.bytes
        if 2 * seen >= size > 0:
            return max((now - each.at).total_seconds(), 0.0)
    return None


def _sums(every: Iterable[Proved]) -> tuple[int, int]:
    items = size = 0
    for each in every:
        items, size = items + each.items, size + each.bytes
    return items, size
