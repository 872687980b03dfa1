"""The parts of a recovery point whose blobs are in a bucket: links and inventory, and their proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from drkit.blobs import inventory
from drkit.blobs.bucket import links_archive
from drkit.blobs.bucket.capture import BucketCapture
from drkit.blobs.bucket.closure import BucketProver
from drkit.blobs.closure import Proof
from drkit.blobs.ends import Ends
from drkit.blobs.inventory import Entry
from drkit.blobs.link_spool import LinkSpool
from drkit.blobs.survey import ARTIFACTS
from drkit.blobs.units.executors import Executor
from drkit.blobs.vault import damage as vault_damage
from drkit.blobs.vault.damage import Damage
from drkit.blobs.vault.object_lock import Locking
from drkit.blobs.vault.pending_copies import PendingCopies
from drkit.model import Bucketed, PartKind, PointManifest, Shared
from drkit.progress import Listener, Update
from drkit.tools.parallel import all_of
from drkit.tools.restic.output import Saved
from drkit.tools.restic.repository import Repository

# Begins a part: (kind, name, path).
PartBeginner = Callable[[PartKind, str, str], "RunningPart"]
# Stores a stream as one file of a part: (pieces, file name, kind).
Saver = Callable[[Iterable[bytes], str, PartKind], Saved]


class InVault(NamedTuple):
    """What a part has in the vault: all of it, and what is new; in bytes."""

    bytes: int
    added: int


class RunningPart(Protocol):
    """A part whose capture has begun; told of what was captured."""

    def store(self, saved: Saved) -> None:
        """It is a snapshot of its own."""

    def seal(self, file: Path, in_vault: InVault | None = None) -> None:
        """It is a file in the seal."""


@dataclass(frozen=True)
class Surroundings:
    """What a capture needs of the run: its private directory, how parts are kept, the point before.

    `executor` is who copies the blobs.
    """

    directory: Path
    memory: Path
    part: PartBeginner
    save: Saver
    repository: Repository
    before: PointManifest | None
    listener: Listener
    doubts: PendingCopies | None = None
    damage: Sequence[Damage] = ()
    executor: Executor | None = None


class BucketPoint:
    """Captures a bucket's blobs as parts of a point.

    Without a database the links say which blobs must be there, so they are read first: a link that was read
    has its blob, for a push writes them the other way round.
    """

    def __init__(self, ends: Ends, locking: Locking, run: Surroundings, *, links_count: bool) -> None:
        self._run = run
        self._ends = ends
        self._spool = LinkSpool(run.directory) if links_count else None
        self._capture = BucketCapture(
            ends,
            run.directory,
            self._before,
            locking,
            run.listener,
            run.doubts,
            vault_damage.digests(run.damage),
            executor=run.executor,
        )

    def capture(self) -> None:
        """Take links and blobs, side by side where a database says which blobs must be there."""
        if self._spool is not None:
            self._links()
            self._blobs()
            return
        all_of({"links": self._links, "blobs": self._blobs})

    def prove(self, listed: Path) -> Proof:
        """Whether what was captured is whole, against the list of digests that must be there.

        Where the links say what must be there, the list is written.
        """
        self._run.listener(Update("closure"))
        prover = BucketProver(self._ends, self._capture, self._run.directory, self._run.memory)
        if self._spool is None:
            proof = prover.prove(listed)
        else:
            self._spool.write(listed, self._run.directory / ARTIFACTS)
            proof = prover.prove_by_links(self._spool, listed)
        self._run.listener(Update("closure", finished=True))
        return proof

    @property
    def summary(self) -> Bucketed:
        """What the manifest says of it."""
        return self._capture.summary()

    @property
    def shared(self) -> Shared | None:
        """Who had a part in the copying, if this process did not do it all."""
        return self._capture.shared

    @property
    def warnings(self) -> Iterator[str]:
        """What there is to say of it, a sentence each."""
        return self._capture.warnings

    def _links(self) -> None:
        name = links_archive.FILE_NAME
        notice = self._spool.notice if self._spool is not None else lambda _path, _held: None
        part = self._run.part("links", "links", name)
        # As a stream, and not in the seal: a tar of ten million links takes fifteen gigabytes.
        part.store(self._run.save(self._capture.link_pieces(notice), name, "links"))

    def _blobs(self) -> None:
        part = self._run.part("inventory", "inventory", inventory.FILE_NAME)
        self._capture.copy()
        vault_damage.settle(self._ends.vault, self._run.damage, self._capture.repaired, locks=True)
        part.seal(self._capture.inventory, InVault(self._capture.bytes, self._capture.copied.bytes))

    def _before(self) -> Iterator[Entry]:
        """The inventory of the point before, if that was of the same vault."""
        found = self._run.before
        if found is None or found.bucket is None or found.bucket.vault != self._ends.vault_place:
            return
        part = found.need("inventory", "inventory")
        entries = inventory.from_lines(self._run.repository.read(part.snapshot, part.path))
        if any(each.locks for each in self._run.damage):
            # Somebody has shortened locks: no word of them is taken for true, and all are set anew.
            entries = (each._replace(locked_until=None) for each in entries)
        yield from entries
