"""Proving that a capture of a bucket is whole: the inventory of the vault against what must be in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from drkit.blobs import digests, inventory
from drkit.blobs.bucket.capture import BucketCapture
from drkit.blobs.bucket.production import InBucket
from drkit.blobs.closure import Compared, Proof, compare
from drkit.blobs.ends import Ends, below
from drkit.blobs.link_spool import LinkSpool
from drkit.blobs.survey import Survey, Surveyor
from drkit.errors import ManifestMissing, ObjectMissing
from drkit.registry import image_manifests, storage
from drkit.registry.image_manifests import Needs

_READERS = 32


class BucketProver:
    """Proves what was captured; `directory` is the run's own, `memory` remembers what manifests need."""

    def __init__(self, ends: Ends, capture: BucketCapture, directory: Path, memory: Path) -> None:
        self._ends = ends
        self._capture = capture
        self._surveyor = Surveyor(
            directory, memory, self._read, InBucket(ends.source, ends.source_place, capture.is_bad), _READERS
        )

    def prove(self, listed: Path) -> Proof:
        """Compare the inventory with a database's list, and the list with what the manifests need."""
        started = time.monotonic()
        survey = self._surveyor.by_database(listed)
        return self._proof(self._compare(listed, survey.elsewhere.__contains__), survey, started)

    def prove_by_links(self, spool: LinkSpool, listed: Path) -> Proof:
        """Compare it with what the links refer to, and write the list of that."""
        started = time.monotonic()
        compared, survey = self._surveyor.by_links(spool, listed, partial(self._compare, listed))
        return self._proof(compared, survey, started)

    def _proof(self, compared: Compared, survey: Survey, started: float) -> Proof:
        took = round(time.monotonic() - started, 3)
        return Proof.of(self._ends.source_place.where, compared, survey, self._capture.links.proof(), took)

    def _compare(self, listed: Path, excused: Callable[[str], bool]) -> Compared:
        present = ((entry.digest, entry.size) for entry in inventory.from_file(self._capture.inventory))
        return compare(self._surveyor.production.size, digests.from_file(listed), present, excused)

    def _read(self, digest: str) -> Needs:
        """What a manifest in the vault needs."""
        key = f"{below(self._ends.vault_place)}{storage.blob_name(digest)}"
        try:
            data = self._ends.vault.read_small(key, limit=image_manifests.LARGEST)
        except ObjectMissing:
            raise ManifestMissing(f"the manifest {digest} is not there") from None
        return image_manifests.needs(digest, data)
