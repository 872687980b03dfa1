"""Proving that a capture of a bucket is whole: the inventory of the vault against what must be in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from drkit.errors import DrkitError, ObjectMissing, ToolFailed
from drkit.harbor import manifests, storage
from drkit.harbor.manifests import Needs
from drkit.model import Closure, ManifestProof
from drkit.sources import digests
from drkit.sources.bucket import inventory
from drkit.sources.bucket.capture import BucketCapture
from drkit.sources.bucket.ends import Ends, below
from drkit.sources.closure import ARTIFACTS, DAMAGED, Damage, Proof, compare
from drkit.sources.manifests import Memory
from drkit.tools.parallel import together

_READERS = 32


class BucketProver:
    """Proves what was captured; `directory` is the run's own, `memory` remembers what manifests need."""

    def __init__(self, ends: Ends, capture: BucketCapture, directory: Path, memory: Path) -> None:
        self._ends = ends
        self._capture = capture
        self._directory = directory
        self._memory = memory
        self._compared: tuple[Closure, Damage] | None = None
        self._proved: ManifestProof | None = None

    def prove(self, listed: Path) -> Proof:
        """Compare the inventory with the list, and the list with what the manifests need."""
        started = time.monotonic()
        work: dict[str, Callable[[], None]] = {
            "blobs": lambda: self._compare(listed),
            "manifests": lambda: self._prove_manifests(listed),
        }
        for outcome in together(work).values():
            if isinstance(outcome, DrkitError):
                raise outcome
        assert self._compared is not None
        found, damage = self._compared
        took = round(time.monotonic() - started, 3)
        links = self._capture.links.proof()
        whole = replace(found, seconds=took, links=links, manifests=self._proved)
        return Proof(self._ends.source_place.where, whole, damage)

    def _compare(self, listed: Path) -> None:
        present = ((entry.digest, entry.size) for entry in inventory.from_file(self._capture.inventory))
        self._compared = compare(self._size_in_production, digests.from_file(listed), present)

    def _size_in_production(self, digest: str) -> int | None:
        if self._capture.is_bad(digest):
            return DAMAGED
        key = f"{below(self._ends.source_place)}{storage.blob_name(digest)}"
        found = self._ends.source.first(key)
        return found.size if found is not None and found.key == key else None

    def _prove_manifests(self, listed: Path) -> None:
        with Memory(self._memory) as memory:
            roots = digests.from_file(self._directory / ARTIFACTS)
            known = digests.from_file(listed)
            self._proved = memory.prove(self._read, roots, known, readers=_READERS)

    def _read(self, digest: str) -> Needs:
        """What a manifest in the vault needs."""
        key = f"{below(self._ends.vault_place)}{storage.blob_name(digest)}"
        try:
            data = self._ends.vault.read_small(key, limit=manifests.LARGEST)
        except ObjectMissing:
            raise ToolFailed(f"the manifest {digest} is not there") from None
        return manifests.needs(digest, data)
