"""Ledgers in a repository: each a snapshot of its own, which names those that it has taken in.

Hosts that write at the same time write two; the next one brings them together. What was taken in is removed
by whoever may remove; until then it counts for nothing more than what took it in.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import get_args

from drkit.errors import Failure, RestoreDamaged
from drkit.model.reread import LEDGER_SCHEMA, LedgerSummary, StoreKind, StoreProofs
from drkit.points import seals
from drkit.points.catalog import Catalog
from drkit.points.ledger import records
from drkit.points.ledger.joining import FORGOTTEN, Reader, Round
from drkit.points.ledger.records import LedgerFile
from drkit.points.ledger.spool import Spool
from drkit.points.reading import dump, parse
from drkit.tools.restic.output import Snapshot
from drkit.tools.restic.repository import Repository
from drkit.tools.tar import stream

log = logging.getLogger(__name__)

SUMMARY_FILE = "ledger.json"
_ENDING = ".ledger"
# Two hundred million items: whoever can write to the repository must not fill the disk with one.
_MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class Found:
    """The ledgers that count; `doubts` says of each other one why nothing in it counts."""

    files: tuple[LedgerFile, ...] = ()
    snapshots: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def current(snapshots: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    """The ledgers that no other has taken in, the newest last."""
    every = [each for each in snapshots if seals.LEDGER in each.tags]
    gone = _taken_in(every)
    return tuple(sorted((each for each in every if each.id not in gone), key=lambda each: each.time))


def superseded(snapshots: Iterable[Snapshot]) -> tuple[str, ...]:
    """The ledgers that others have taken in, and that are still there: the newest is never among them."""
    every = [each for each in snapshots if seals.LEDGER in each.tags]
    gone = _taken_in(every)
    return tuple(each.id for each in every if each.id in gone)


def _taken_in(ledgers: Sequence[Snapshot]) -> frozenset[str]:
    return frozenset(name for each in ledgers for name in seals.values(each, seals.MERGED))


def fetch(repository: Repository, ledgers: Sequence[Snapshot], directory: Path) -> Found:
    """Bring ledgers into a directory of the run's own; what is wrong with one costs that one alone."""
    files: list[LedgerFile] = []
    read, doubts = [], []
    for snapshot in ledgers:
        target = directory / snapshot.id[:16]
        target.mkdir(mode=0o700)
        try:
            files += _fetch(repository, snapshot, target)
            read.append(snapshot.id)
        except Failure as error:
            doubts.append(doubt(snapshot, error.message))
    return Found(tuple(files), tuple(read), tuple(doubts))


def doubt(snapshot: Snapshot, why: str) -> str:
    """That nothing in a ledger counts, in a sentence."""
    return f"the ledger of what was read (snapshot {snapshot.id[:8]}) counts for nothing: {why}"


def _fetch(repository: Repository, snapshot: Snapshot, target: Path) -> list[LedgerFile]:
    paths: list[Path] = []
    for member in stream.members(repository.archive(snapshot.id, "/"), "it"):
        if not member.name.endswith(_ENDING):
            continue
        kind = member.name.removesuffix(_ENDING).partition("-")[0]
        if member.kind != "file" or kind not in get_args(StoreKind) or member.size > _MOST_BYTES:
            raise RestoreDamaged(f"{member.name!r} is in it")
        path = target / f"{len(paths)}{_ENDING}"
        with path.open("xb") as file:
            file.writelines(member.pieces)
        paths.append(path)
    return [records.read(path) for path in paths]


class Book:
    """The ledgers of a repository as one run goes on with them; `directory` is the run's own, and is made.

    `oldest` is when the oldest thing in the repository may have been stored.
    """

    def __init__(
        self,
        catalog: Catalog,
        snapshots: Sequence[Snapshot],
        reader: Reader,
        oldest: datetime,
        directory: Path,
    ) -> None:
        directory.mkdir(mode=0o700)
        self._catalog, self._reader, self._oldest = catalog, reader, oldest
        self._directory = directory
        self._rounds: dict[StoreKind, Round] = {}
        self.found = fetch(catalog.repository, current(snapshots), directory)
        self._superseded = superseded(snapshots)
        # Those that the next one takes in: what was found, and what this run has written before it.
        self._taken_in = self._not_removed = self.found.snapshots
        self._written = 0

    def round(self, kind: StoreKind, where: str, *, grows: bool = True, spool: Spool | None = None) -> Round:
        """Begin to go on with the ledger of a store; `grows` and `spool` as in Round."""
        made = self._round(kind, where, self._directory / f"new-{kind}", grows=grows, spool=spool)
        self._rounds[kind] = made
        return made

    def _round(
        self, kind: StoreKind, where: str, directory: Path, *, grows: bool = True, spool: Spool | None = None
    ) -> Round:
        files, reader = self.found.files, self._reader
        return Round(kind, where, files, reader, self._oldest, directory, grows=grows, spool=spool)

    @property
    def has_news(self) -> bool:
        """Whether anything was read."""
        return any(made.spool.items and made.counts for made in self._rounds.values())

    def write(self, repository: Repository | None = None) -> LedgerSummary:
        """Store a new ledger with what was read until now; `remove` then removes what it has taken in.

        It may be called again when more was read. Stores of which this run knows nothing are in it as they
        were. `repository` is the same reached in another way. Raises the repository's errors.
        """
        self._written += 1
        target = self._directory / f"written-{self._written}"
        target.mkdir(mode=0o700)
        try:
            return self._write(target, repository or self._catalog.repository)
        finally:
            # A long run writes it many times, and it may be as large as all that is stored is many.
            shutil.rmtree(target, ignore_errors=True)

    def _write(self, target: Path, repository: Repository) -> LedgerSummary:
        told = [made for made in self._rounds.values() if made.counts]
        others = self._others({(made.kind, made.where) for made in told}, target)
        for kind in get_args(StoreKind):
            if all(made.kind != kind for made in told) and (same := [o for o in others if o.kind == kind]):
                # The one that was gone on with last speaks for its kind.
                told.append(max(same, key=lambda made: made.listed_at))
        told.sort(key=lambda made: made.kind)
        stores = tuple(made.write(target / f"{made.kind}{_ENDING}") for made in told)
        for made in others:
            if made not in told:
                made.write(target / f"{made.kind}-{_short(made.where)}{_ENDING}")
        found = LedgerSummary(LEDGER_SCHEMA, self._reader.at, self._reader.host, stores)
        (target / SUMMARY_FILE).write_bytes(dump(LedgerSummary, found))
        self._store(repository, target)
        return found

    def remove(self) -> None:
        """Remove the ledgers that were taken in; where that cannot be, a later run or `expire` does it."""
        gone, self._superseded = self._superseded, ()
        try:
            self._catalog.repository.forget(gone)
        except Failure as error:
            # What was read is stored all the same.
            log.info("older ledgers stay until a host that may remove them runs expire: %s", error.message)

    def _others(self, known: Collection[tuple[StoreKind, str]], target: Path) -> list[Round]:
        """Of each store that this run has not gone on with: what is known of it, if not from long ago.

        A vault has a ledger of its own: another one, named by mistake or for good, leaves it as it is.
        """
        latest: dict[tuple[StoreKind, str], LedgerFile] = {}
        for file in sorted(self.found.files, key=lambda each: each.listed_at):
            latest[file.kind, file.where if file.kind == "vault" else ""] = file
        kinds = {kind for kind, _ in known}
        left = [
            file
            for file in latest.values()
            if ((file.kind, file.where) not in known if file.kind == "vault" else file.kind not in kinds)
        ]
        return [
            self._round(file.kind, file.where, target / f".{number}")
            for number, file in enumerate(left)
            if file.kind != "vault" or self._reader.at - file.listed_at < FORGOTTEN
        ]

    def _store(self, repository: Repository, target: Path) -> None:
        catalog = self._catalog
        tags = [seals.SITE + catalog.site, seals.MACHINE + catalog.state.machine, seals.LEDGER]
        tags += [seals.MERGED + each for each in self._taken_in]
        names = sorted(path.name for path in target.iterdir() if path.is_file())
        saved = repository.save_files(target, names, tags, catalog.site)
        self._superseded = (*self._superseded, *self._not_removed)
        self._taken_in, self._not_removed = (*self._taken_in, saved.snapshot), (saved.snapshot,)


def _short(where: str) -> str:
    return hashlib.sha256(where.encode()).hexdigest()[:12]


def summaries(
    catalog: Catalog, snapshots: Sequence[Snapshot]
) -> tuple[LedgerSummary | None, tuple[str, ...]]:
    """What the newest ledger that can be read says, and why others count for nothing.

    Of two that were written side by side it is of each store the later one, or the one that knows of damage,
    until a run brings them together.
    """
    found: list[LedgerSummary] = []
    doubts = []
    for snapshot in current(snapshots):
        read = _summary(catalog, snapshot)
        if isinstance(read, str):
            doubts.append(doubt(snapshot, read))
        else:
            found.append(read)
    if not found:
        return None, tuple(doubts)
    stores: dict[StoreKind, StoreProofs] = {}
    for store in (store for each in found for store in each.stores):
        before = stores.get(store.kind)
        if before is None or bool(store.wrong_items) >= bool(before.wrong_items):
            stores[store.kind] = store
    return replace(found[-1], stores=tuple(stores.values())), tuple(doubts)


def _summary(catalog: Catalog, snapshot: Snapshot) -> LedgerSummary | str:
    kept = catalog.cache / f"{snapshot.id}.json"
    try:
        data = kept.read_bytes()
    except OSError:
        try:
            data = b"".join(catalog.repository.read(snapshot.id, f"/{SUMMARY_FILE}", locked=False))
        except Failure as error:
            return error.message
        catalog.keep(snapshot, data)
    found = parse(LedgerSummary, data)
    if found is None:
        return "it is not understood: a newer drkit may have made it"
    if found.schema > LEDGER_SCHEMA:
        return "it was made by a newer drkit"
    return found
