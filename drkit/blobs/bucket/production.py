"""Single questions to a registry's storage in a bucket, as it is now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drkit.blobs.closure import DAMAGED
from drkit.blobs.ends import below
from drkit.errors import ObjectMissing
from drkit.model import BucketPlace
from drkit.registry import links, storage
from drkit.tools.s3.bucket import Bucket, Object


@dataclass(frozen=True)
class InBucket:
    """A registry's storage in a bucket, as it is now; `is_bad` knows of blobs whose bytes are wrong."""

    bucket: Bucket
    place: BucketPlace
    is_bad: Callable[[str], bool] = lambda _digest: False

    def size(self, digest: str) -> int | None:
        """The size of a blob, None where it is not there, DAMAGED where its bytes are wrong."""
        if self.is_bad(digest):
            return DAMAGED
        found = self._find(str(storage.blob_name(digest)))
        return found.size if found else None

    def linked(self, repository: str, digest: str) -> bool:
        """Whether a repository has a manifest, by a link of either kind."""
        return any(self._find(path) for path in links.of_manifest(repository, digest))

    def tag(self, repository: str, name: str) -> str | None:
        """What a tag's link holds, or None where it is not there."""
        key = f"{below(self.place)}{links.of_tag(repository, name)}"
        try:
            return self.bucket.read_small(key).decode("utf-8", "replace")
        except ObjectMissing:
            return None

    def _find(self, path: str) -> Object | None:
        key = f"{below(self.place)}{path}"
        found = self.bucket.first(key)
        return found if found is not None and found.key == key else None
