"""Packs of a repository, read by restic in shares by the first byte of their names, longest unread first.

restic reads a pack whole and compares every piece of data in it with its hash. What it can be told to read is
`NUMBER/SHARES`, which is a byte of each name: what is chosen are such shares, and each look costs a walk
through the structure as well, so that few large ones are better than many small ones.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drkit import tidying
from drkit.actions.reread.budget import Budget, Limits
from drkit.actions.reread.checkpoints import Checkpoints
from drkit.errors import RepositoryDamaged
from drkit.points.ledger.joining import Round
from drkit.tools.restic import integrity, output
from drkit.tools.restic.repository import Repository

log = logging.getLogger(__name__)

_PREFIXES = 256
_SHARES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# restic's own aim for a pack; most are a little larger.
_USUAL_BYTES = 16 << 20


@dataclass(frozen=True)
class PacksRead:
    """How much of a repository was read: `packs` with so many `bytes`, of `every_pack` in all.

    Where `estimated`, packs are counted as if each had restic's usual size.
    """

    packs: int
    bytes: int
    every_pack: int
    every_byte: int
    estimated: bool


class Packs:
    """The packs that are there, written down as listed in a round; read a share at a time.

    Listed before anything is read: of a pack that comes later nobody knows whether restic read it.
    """

    def __init__(self, repository: Repository, ledger: Round) -> None:
        self._repository, self._ledger = repository, ledger
        self._packs: list[list[tuple[str, int]]] = [[] for _ in range(_PREFIXES)]
        self.turns: list[int | None] = [None] * _PREFIXES
        self.sizes = [0] * _PREFIXES
        self.read = 0
        self.read_bytes = 0
        self._done: set[int] = set()
        for pack, known in integrity.pack_sizes(repository.access):
            ledger.estimated |= known is None
            size, prefix = _USUAL_BYTES if known is None else known, int(pack[:2], 16)
            turn, before = ledger.listed(pack, size), self.turns[prefix]
            self.turns[prefix] = turn if before is None else min(before, turn)
            self._packs[prefix].append((pack, size))
            self.sizes[prefix] += size
        ledger.all_listed()

    @property
    def found(self) -> PacksRead:
        """What was read so far."""
        every = sum(map(len, self._packs))
        return PacksRead(self.read, self.read_bytes, every, sum(self.sizes), self._ledger.estimated)

    def names(self) -> Iterator[str]:
        """The names of all of them."""
        return (pack for packs in self._packs for pack, _ in packs)

    def check(self, subset: str | None) -> None:
        """Let restic check itself and read that share; raises as integrity.check.

        Which packs a share by chance has nobody knows: nothing is written down of them.
        """
        chosen = output.prefixes(subset) if subset else ()
        try:
            unread = set(integrity.check(self._repository.access, subset))
        except RepositoryDamaged as error:
            # Of the others nobody knows whether they were read: they stay as they were.
            for prefix in chosen:
                for pack, size in self._packs[prefix]:
                    if pack in error.packs or not error.packs:
                        self._ledger.spool.wrong(pack, size)
            raise
        # What restic has read counts whole, or an interruption would leave half of it out.
        with tidying.undisturbed():
            for prefix in set(chosen) - self._done:
                self.turns[prefix] = None
                for pack, size in self._packs[prefix]:
                    if pack not in unread:
                        self._ledger.spool.right(pack, size)
                        self.read += 1
                        self.read_bytes += size
            self._done.update(chosen)

    def check_longest_unread(self, limits: Limits, checkpoints: Checkpoints) -> None:
        """The same for the shares that were not read for longest, within limits: at least for one of them.

        None is larger than what is read between two checkpoints. Raises as `check`.
        """
        budget, start = Budget(limits, stretch=checkpoints.every), secrets.randbelow(_PREFIXES)
        share = choose(self.turns, self.sizes, budget.room, first=True, start=start, most=budget.most)
        if share is None:
            self.check(None)
        while share is not None:
            log.info("reading share %s of the packs", share)
            self.check(share)
            budget.take(sum(self.sizes[prefix] for prefix in output.prefixes(share)))
            if budget.used_up:
                break
            checkpoints.look()
            share = choose(self.turns, self.sizes, budget.room, first=False, start=start, most=budget.most)


def choose(
    turns: Sequence[int | None],
    sizes: Sequence[int],
    room: float | None,
    *,
    first: bool,
    start: int = 0,
    most: float | None = None,
) -> str | None:
    """The largest share with the longest unread pack that there is room for; pure.

    Of each first byte of a name `turns` says when its turn is (None where there is nothing to read), `sizes`
    how many bytes there are. The `first` share is read even where there is no room for the smallest. A larger
    one has no more bytes than `most`, and more than half of it must be due, for it is read whole. Where
    several have their turn, it is the first from the byte `start` on: hosts that read at the same time begin
    at different places.
    """
    waiting = [(turn, (at - start) % _PREFIXES) for at, turn in enumerate(turns) if turn is not None]
    if not waiting:
        return None
    oldest = (min(waiting)[1] + start) % _PREFIXES
    for shares in _SHARES:
        number = oldest % shares
        size = sum(sizes[number::shares])
        due = sum(sizes[prefix] for prefix in range(number, _PREFIXES, shares) if turns[prefix] is not None)
        fits = room is None or size <= room
        if shares < _PREFIXES and most is not None and size > most:
            continue
        if (fits and due > size / 2) or (shares == _PREFIXES and (first or fits)):
            return f"{number + 1}/{shares}"
    return None
