"""One blob at a time into the bucket of a registry that runs: a missing one, or in a damaged one's place."""

from __future__ import annotations

import hashlib
from pathlib import Path

from drkit.blobs.directory.mending import Put
from drkit.blobs.vault.reading import key_of
from drkit.errors import ObjectMissing
from drkit.model import BucketPlace
from drkit.tools import json_lines
from drkit.tools.process import stopping
from drkit.tools.s3.bucket import Bucket


class BucketMender:
    """Puts blobs into a bucket; what is damaged is copied to another key first, which names the point."""

    def __init__(self, bucket: Bucket, place: BucketPlace, point: str) -> None:
        self._bucket = bucket
        self._place = place
        self._point = point

    def put(self, digest: str, made: Path) -> Put:
        """Store a file with the bytes of a blob, unless it is there and right; see DirectoryMender."""
        key, aside = key_of(self._place, digest), ""
        held = self._held(key)
        if held is not None:
            found, size = held
            if found == digest:
                return Put(put=False)
            aside = f"{key}.before-{self._point}"
            self._bucket.put_blob(aside, size, self._bucket.read(key), found)
        # Hashed once more on its way: it is to be seen only if it is right.
        self._bucket.put_blob(key, made.stat().st_size, json_lines.pieces(made), digest)
        return Put(put=True, aside=aside)

    def _held(self, key: str) -> tuple[str, int] | None:
        """Digest and size of what is there."""
        hasher, size = hashlib.sha256(), 0
        try:
            for piece in self._bucket.read(key):
                stopping.stop_if_asked()
                hasher.update(piece)
                size += len(piece)
        except ObjectMissing:
            return None
        return f"sha256:{hasher.hexdigest()}", size
