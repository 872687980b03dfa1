"""Removing from a vault what no remaining inventory needs, unless a backup works there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from drkit.errors import NotDeleted, ToolFailed
from drkit.harbor import storage
from drkit.model import BucketPlace
from drkit.sources.bucket import inventories
from drkit.sources.bucket.ends import below
from drkit.sources.bucket.inventories import Stream
from drkit.sources.vault import marks as vault_marks
from drkit.sources.vault import needs as vault_needs
from drkit.sources.vault.marks import Held
from drkit.sources.vault.needs import Surplus, Waiting
from drkit.tools.s3 import Bucket

_BATCH = 1000
# The locks of so many objects are looked at, to tell when the first of them ends.
_LOOKED_AT = 200


@dataclass(frozen=True)
class VaultExpiry:
    """What has gone from the vault, or would go: blobs that no point needs, and their bytes.

    `versions` counts old versions and delete markers beside them. `locked` objects stay until their locks
    end, the first of them at `locked_until`; `refused` are not locked and stay all the same, for `refusal`.
    `waiting` blobs were put by a backup that has not ended well, and the next one takes them up.
    `left_alone` says why nothing was looked at.
    """

    where: str
    blobs: int = 0
    bytes: int = 0
    versions: int = 0
    locked: int = 0
    locked_bytes: int = 0
    locked_until: datetime | None = None
    refused: int = 0
    refusal: str = ""
    waiting: int = 0
    waiting_bytes: int = 0
    left_alone: str = ""


@contextlib.contextmanager
def alone(vault: Bucket, place: BucketPlace, run: str, site: str, machine: str) -> Iterator[Held | str]:
    """Our mark in the vault, or who works there and why it is to be left alone.

    Raises NotOurs for another site's vault, and the bucket's errors.
    """
    if vault_marks.owner_of(vault, place) is not None:
        vault_marks.claim(vault, place, site)
    with vault_marks.held(vault, place, run, "expire", machine) as mark:
        other = next(iter(mark.others()), None)
        if other is not None:
            yield f"{other.work} works there, on {other.host} (run {other.run})"
        else:
            yield mark


@dataclass(frozen=True)
class Keeper:
    """A vault, and what still needs it: the inventories of all remaining points of all repositories.

    `newest` is when the newest of those points was finished; `directory` a private one, for what is merged.
    """

    vault: Bucket
    place: BucketPlace
    inventories: Sequence[Stream]
    newest: datetime
    directory: Path

    def plan(self, waiting: Waiting) -> Iterator[Surplus]:
        """What nobody needs, as a stream; raises RestoreDamaged for an inventory that cannot be read."""
        needed = inventories.merged(self.inventories, self.directory)
        listed = self.vault.listed_at_once(
            f"{below(self.place)}{storage.BLOBS}/sha256/", versions=self.vault.versioning()
        )
        return vault_needs.surplus(listed, needed, self.newest, waiting)

    def look(self) -> VaultExpiry:
        """What would go."""
        waiting, found = Waiting(), VaultExpiry(self.place.where)
        for each in self.plan(waiting):
            found = _counted(found, [each])
        return replace(found, waiting=waiting.blobs, waiting_bytes=waiting.bytes)

    def remove(self, mark: Held) -> VaultExpiry:
        """Remove what nobody needs; raises the bucket's errors.

        The inventories are to be those of all points that are sealed now that our mark stands: a point that
        was sealed before it may need what none before needed.
        """
        waiting, found = Waiting(), VaultExpiry(self.place.where)
        plan = self.plan(waiting)
        while batch := list(islice(plan, _BATCH)):
            # Whoever began meanwhile waits for our mark, as long as it is fresh.
            mark.check()
            kept = self._delete(batch)
            found = _counted(found, [each for each in batch if (each.key, each.version) not in kept])
            found = self._explained(found, [each for each in batch if (each.key, each.version) in kept], kept)
        return replace(found, waiting=waiting.blobs, waiting_bytes=waiting.bytes)

    def _delete(self, batch: Sequence[Surplus]) -> dict[tuple[str, str | None], str]:
        """Delete them; returns those that stay, and what the service said of each."""
        try:
            self.vault.delete([(each.key, each.version) for each in batch])
        except NotDeleted as error:
            return {(key, version): said for key, version, said in error.kept}
        return {}

    def _explained(
        self, found: VaultExpiry, stay: Sequence[Surplus], kept: dict[tuple[str, str | None], str]
    ) -> VaultExpiry:
        for each in stay:
            until = self._lock_of(each) if found.locked + found.refused < _LOOKED_AT else found.locked_until
            if until is None or until <= datetime.now(UTC):
                said = found.refusal or kept[each.key, each.version]
                found = replace(found, refused=found.refused + 1, refusal=said)
                continue
            found = replace(
                found,
                locked=found.locked + 1,
                locked_bytes=found.locked_bytes + each.size,
                locked_until=min(until, found.locked_until or until),
            )
        return found

    def _lock_of(self, found: Surplus) -> datetime | None:
        try:
            return self.vault.locked_until(found.key, found.version)
        except ToolFailed:
            # Whoever may not look at locks is told why the object stays, at least.
            return None


def _counted(found: VaultExpiry, gone: Sequence[Surplus]) -> VaultExpiry:
    blobs = sum(each.blob for each in gone)
    return replace(
        found,
        blobs=found.blobs + blobs,
        bytes=found.bytes + sum(each.size for each in gone),
        versions=found.versions + len(gone) - blobs,
    )
