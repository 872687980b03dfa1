"""Blobs that were being copied when a run was killed: nobody has compared their hash, so the next run does.

A service copies a blob by itself and then says what it has copied. A run that is killed between the two
leaves a blob in the vault that may be wrong. So the name of each blob under way stands as an empty file in
the state directory until it is proven. Of what the service was asked for in vain and has not said no to, it
stands there until the blob has come another way, or the next run has looked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drkit.blobs.vault.reading import hashes_right, key_of
from drkit.errors import ObjectMissing, WrongBytes
from drkit.model import BucketPlace
from drkit.registry import storage
from drkit.tools.s3.bucket import Bucket


@dataclass(frozen=True)
class PendingCopies:
    """The blobs under way of one site, as files of a directory."""

    directory: Path

    @contextlib.contextmanager
    def under_way(self, digest: str) -> Iterator[None]:
        """Doubt a blob while it is copied, and longer if that fails without saying what is there."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        path = self.directory / digest
        path.touch(mode=0o600)
        try:
            yield
        except (WrongBytes, ObjectMissing):
            # Nothing stands there then.
            path.unlink(missing_ok=True)
            raise
        path.unlink(missing_ok=True)

    def proven(self, digest: str) -> None:
        """What stands there now is right: whoever doubts a blob does so no more."""
        (self.directory / digest).unlink(missing_ok=True)

    def settle(self, vault: Bucket, place: BucketPlace) -> int:
        """Hash what a dead run left in doubt, and remove what is wrong; returns how many were removed.

        Only while no other run of this machine works. Raises the bucket's errors.
        """
        removed = 0
        for path in sorted(self.directory.iterdir()) if self.directory.is_dir() else ():
            key = key_of(place, path.name)
            if storage.is_digest(path.name) and hashes_right(vault, key, path.name) is False:
                # A bucket with versions keeps it, and nobody reads it: the right one is copied anew.
                vault.delete([(key, None)])
                removed += 1
            path.unlink()
        return removed
