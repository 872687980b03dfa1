"""A registry's bucket while it runs; see LiveTree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from drkit import config
from drkit.blobs.bucket import plan as bucket_plan
from drkit.blobs.bucket.links_packing import LONGEST, Packer
from drkit.blobs.bucket.production import InBucket
from drkit.blobs.ends import below
from drkit.blobs.inventory import Entry
from drkit.blobs.live import LinkSeen, Stored
from drkit.blobs.units.sources import BucketSource
from drkit.blobs.vault import reading
from drkit.blobs.vault.reading import VaultReader
from drkit.errors import ManifestMissing, ObjectMissing
from drkit.model import BucketPlace
from drkit.registry import image_manifests, link_tree, links, storage
from drkit.registry.image_manifests import Needs
from drkit.tools.s3.bucket import Bucket, Object

# Over a network most of the time is waiting; more would take what production's own clients need.
_READERS = 16


@dataclass(frozen=True)
class LiveBucket:
    """The bucket, open, and where in it the registry's tree stands."""

    bucket: Bucket
    place: BucketPlace

    @property
    def where(self) -> str:
        """See LiveTree."""
        return self.place.where

    @property
    def readers(self) -> int:
        """See LiveTree."""
        return _READERS

    @property
    def production(self) -> InBucket:
        """See LiveTree."""
        return InBucket(self.bucket, self.place)

    def blobs(self) -> Iterator[Stored]:
        """See LiveTree."""
        top = f"{below(self.place)}{storage.BLOBS}/sha256/"
        modified = 0.0

        def noted() -> Iterator[Object]:
            nonlocal modified
            for found in self.bucket.listed_at_once(top):
                modified = datetime.fromisoformat(found.modified).timestamp()
                yield found

        for blob in bucket_plan.blobs(noted(), top):
            yield Stored(blob.digest, blob.size, modified)

    def links(self) -> Iterator[LinkSeen]:
        """See LiveTree: what a link holds is known by its ETag; only where that tells nothing it is read."""
        too_long: list[LinkSeen] = []
        packer = Packer(self.place.prefix, self.bucket.read_small, links.LinkCount())
        listed = self.bucket.listed_at_once(f"{below(self.place)}{storage.REPOSITORIES}/")
        for link in packer.links(self._short(listed, too_long)):
            file = link_tree.parse(link.name, len(link.held))
            if file is not None:
                held = link.held.decode("utf-8", "replace")
                yield LinkSeen(file, held, links.holds(link.name, link.held))
        yield from too_long

    def is_damaged(self, path: str) -> bool:
        """See LiveTree."""
        try:
            return not links.holds(path, self.bucket.read_small(f"{below(self.place)}{path}"))
        except ObjectMissing:
            return False

    def needs(self, digest: str) -> Needs:
        """See LiveTree."""
        key = reading.key_of(self.place, digest)
        try:
            data = self.bucket.read_small(key, limit=image_manifests.LARGEST)
        except ObjectMissing:
            raise ManifestMissing(f"the manifest {digest} is not there") from None
        return image_manifests.needs(digest, data)

    def entry(self, digest: str, size: int) -> Entry:
        """See LiveTree."""
        return Entry(digest, reading.key_of(self.place, digest), size)

    def source(self, _cluster: config.Cluster) -> BucketSource:
        """See LiveTree."""
        return BucketSource(VaultReader(self.bucket, self.place, original=True), any_copy=False)

    def hashes_right(self, digest: str) -> bool | None:
        """See LiveTree."""
        return reading.hashes_right(self.bucket, reading.key_of(self.place, digest), digest)

    def _short(self, listed: Iterable[Object], too_long: list[LinkSeen]) -> Iterator[Object]:
        """What may be a link; what has the name of one and is longer is kept apart."""
        start = len(below(self.place))
        for found in listed:
            if found.size <= LONGEST:
                yield found
            elif file := link_tree.parse(found.key[start:], found.size):
                too_long.append(LinkSeen(file, "", sound=False))
