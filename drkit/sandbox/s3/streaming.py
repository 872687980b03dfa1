"""Blobs of a vault that no disk here can hold: each is read once as a stream, and served from the vault."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace

from drkit.blobs.vault.data import VaultData
from drkit.blobs.vault.reading import VaultReader
from drkit.sandbox.blobs import BlobsBuilder, RestoredBlobs
from drkit.sandbox.s3 import bucket
from drkit.sandbox.s3.bucket import TreeBucket


@dataclass
class StreamedVault:
    """The blobs of an open vault; they are served for as long as the builder's stack."""

    builder: BlobsBuilder
    shelf: VaultReader
    # Blobs of which another version is right than the one that is named.
    _right: dict[str, str] = field(default_factory=dict)

    def open(self) -> TreeBucket:
        """A bucket of all blobs that were found right by then, and of the links; raises ToolFailed."""
        listed = self.builder.files.path("inventory", "inventory")
        stack = self.builder.stack
        self._data = stack.enter_context(closing(VaultData(self.shelf, listed, self._right)))
        return stack.enter_context(bucket.serving(self.builder.root, self._data))

    def read(self, served: TreeBucket) -> RestoredBlobs:
        """Hash every blob once, as fetching it does; the ledger knows then which are right."""
        found = self.builder.from_vault(self.shelf, None, self._right.__setitem__)
        return replace(found, elsewhere=served, data=self._data)
