"""Blobs of a vault that no disk here can hold: read once as a stream, served from a mount of the vault."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drkit.blobs import inventory
from drkit.blobs.bucket import links_archive
from drkit.blobs.directory.cleaning import Cleaned
from drkit.blobs.inventory import Entry
from drkit.blobs.units.sources import BucketSource, judged
from drkit.blobs.units.unit import Wrong
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.fetching import BlobCount, Fetched, told
from drkit.blobs.vault.reading import WORKERS, Copy, VaultReader
from drkit.errors import ObjectMissing
from drkit.model import Bucketed
from drkit.progress import Meter
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.sandbox.blobs import BlobsBuilder, FromVault, Noting, RestoredBlobs
from drkit.sandbox.streaming import STAGE
from drkit.sandbox.vault_files import Chosen, VaultFiles, first_copy
from drkit.tools.fuse import serving
from drkit.tools.parallel import for_each, side_by_side
from drkit.tools.process import stopping


@dataclass(frozen=True)
class StreamedVault:
    """The blobs of a point in a vault; vault and mount stay open for as long as the builder's stack."""

    builder: BlobsBuilder

    @property
    def root(self) -> Path:
        """The registry's root directory: links on a disk, blobs in the mount."""
        return self.builder.root

    def read(self, bucketed: Bucketed) -> tuple[FromVault, Chosen]:
        """Hash every blob once, as a stream, and unpack the links meanwhile.

        The ledger knows then which blobs are right, and what is returned in which copy. Raises the tools'
        errors, RestoreDamaged.
        """
        builder, files = self.builder, self.builder.files
        shelf = builder.stack.enter_context(builder.open_vault(bucketed))
        listed = inventory.from_lines(files.lines("inventory", "inventory"))
        entries = Noting(vault_reading.checked(listed), None)
        meter = Meter(builder.listener, STAGE, files.manifest.need("inventory", "inventory").bytes)
        links = files.manifest.need("links", "links")
        archive = links_archive.read(builder.repository.read(links.snapshot, links.path))
        chosen = Chosen(builder.directory / "copies.db")
        builder.stack.callback(chosen.close)
        hashing = _Hashing(shelf, builder.ledger, chosen, meter)
        with side_by_side() as tasks:
            blobs = tasks.begin("blobs", partial(hashing.every, entries))
            unpacked = tasks.begin("links", partial(links_archive.unpack, archive, self.root))
        found, _ = blobs(), unpacked()
        return FromVault(shelf, found, entries.sample), chosen

    def mount(self, vault: FromVault, chosen: Chosen) -> RestoredBlobs:
        """Put the blobs that are right where the registry looks for them. Raises ToolMissing, ToolFailed."""
        builder = self.builder
        storage.make_directory(self.root, str(storage.BLOBS))
        path = builder.files.path("inventory", "inventory")
        files = builder.stack.enter_context(
            contextlib.closing(VaultFiles(vault.shelf, path, builder.ledger, chosen))
        )
        mounted = builder.stack.enter_context(serving.mounted(files, self.root / storage.BLOBS))
        return RestoredBlobs(self.root, Cleaned(), vault, mounted)


@dataclass(frozen=True)
class _Hashing:
    """Reads blobs and keeps nothing of them."""

    shelf: VaultReader
    ledger: Ledger
    chosen: Chosen
    meter: Meter

    def every(self, entries: Noting) -> Fetched:
        """Read each to its end, side by side. One that is wrong or gone does not stop the others."""
        count = BlobCount()
        for_each(entries, partial(self._one, count), WORKERS)
        return count.found()

    def _one(self, count: BlobCount, entry: Entry) -> None:
        first: Wrong | None = None
        for copy in self.shelf.copies(entry):
            wrong = self._look(copy, entry)
            if wrong is None:
                self._right(copy, entry)
                count.good(entry.size)
                return
            first = first or wrong
        assert first is not None
        self.shelf.faults.note(entry.digest)
        count.fault(told(entry, first))

    def _look(self, copy: Copy, entry: Entry) -> Wrong | None:
        stopping.stop_if_asked()
        source = BucketSource(self.shelf, any_copy=True)
        try:
            with contextlib.closing(source.read(copy)) as pieces:
                return judged(pieces, entry, stopping.stop_if_asked, self.meter.add)
        except ObjectMissing:
            return Wrong("gone")

    def _right(self, copy: Copy, entry: Entry) -> None:
        if copy != first_copy(self.shelf, entry):
            self.chosen.note(entry.digest, copy)
        self.ledger.confirm(entry.digest)
