"""The parts of a recovery point whose blobs are in a bucket: links and inventory, and their proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from drkit.errors import DrkitError
from drkit.model import Bucketed, Manifest, PartKind
from drkit.progress import Listener, Update
from drkit.sources import json_lines
from drkit.sources.bucket import inventory, links_archive
from drkit.sources.bucket.capture import BucketCapture
from drkit.sources.bucket.closure import BucketProver
from drkit.sources.bucket.ends import Ends
from drkit.sources.bucket.inventory import Entry
from drkit.sources.closure import ARTIFACTS, Proof
from drkit.sources.link_spool import LinkSpool
from drkit.sources.vault.doubts import Doubts
from drkit.sources.vault.locking import Locking
from drkit.tools.parallel import together
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved

# Times a part, and takes what was saved of it: (kind, name, path in the snapshot).
PartKeeper = Callable[[PartKind, str, str], AbstractContextManager["Keep"]]
# Stores a stream as one file of a part: (pieces, file name, kind).
Saver = Callable[[Iterable[bytes], str, PartKind], Saved]


class InVault(NamedTuple):
    """What a part has in the vault: all of it, and what is new; in bytes."""

    bytes: int
    added: int


class Keep(Protocol):
    """Told of what was saved of a part."""

    def __call__(self, saved: Saved, in_vault: InVault | None = None) -> None:
        """Record the part."""


@dataclass(frozen=True)
class Surroundings:
    """What a capture needs of the run: its private directory, how parts are kept, the point before."""

    directory: Path
    memory: Path
    part: PartKeeper
    save: Saver
    repository: Repository
    before: Manifest | None
    listener: Listener
    doubts: Doubts | None = None


class BucketPoint:
    """Captures a bucket's blobs as parts of a point.

    Without a database the links say which blobs must be there, so they are read first: a link that was read
    has its blob, for a push writes them the other way round.
    """

    def __init__(self, ends: Ends, locking: Locking, run: Surroundings, *, links_count: bool) -> None:
        self._run = run
        self._ends = ends
        self._spool = LinkSpool(run.directory) if links_count else None
        self._capture = BucketCapture(ends, run.directory, self._before, locking, run.listener, run.doubts)

    def capture(self) -> None:
        """Take links and blobs, side by side where a database says which blobs must be there."""
        if self._spool is not None:
            self._links()
            self._blobs()
            return
        outcomes = together({"links": self._links, "blobs": self._blobs})
        for outcome in outcomes.values():
            if isinstance(outcome, DrkitError):
                raise outcome

    def list_links(self, listed: Path) -> int:
        """Write the list of digests that the links refer to; returns how many."""
        assert self._spool is not None
        return self._spool.write(listed, self._run.directory / ARTIFACTS)

    def prove(self, listed: Path) -> Proof:
        """Whether what was captured is whole, against the list of digests that must be there."""
        self._run.listener(Update("closure"))
        prover = BucketProver(self._ends, self._capture, self._run.directory, self._run.memory)
        proof = prover.prove(listed)
        self._run.listener(Update("closure", finished=True))
        return proof

    @property
    def summary(self) -> Bucketed:
        """What the manifest says of it."""
        return self._capture.summary()

    @property
    def warnings(self) -> Iterator[str]:
        """What there is to say of it, a sentence each."""
        return self._capture.warnings

    def _links(self) -> None:
        name = links_archive.FILE_NAME
        notice = self._spool.notice if self._spool is not None else lambda _path: None
        with self._run.part("links", "links", name) as keep:
            keep(self._run.save(self._capture.link_pieces(notice), name, "links"))

    def _blobs(self) -> None:
        name = inventory.FILE_NAME
        with self._run.part("inventory", "inventory", name) as keep:
            self._capture.copy()
            saved = self._run.save(json_lines.pieces(self._capture.inventory), name, "inventory")
            keep(saved, InVault(self._capture.bytes, self._capture.copied.bytes))

    def _before(self) -> Iterator[Entry]:
        """The inventory of the point before, if that was of the same vault."""
        found = self._run.before
        if found is None or found.bucket is None or found.bucket.vault != self._ends.vault_place:
            return
        part = found.need("inventory", "inventory")
        yield from inventory.from_lines(self._run.repository.read(part.snapshot, part.path))
