"""Removing from a vault what no remaining inventory needs, unless a backup works there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from drkit.blobs import inventories
from drkit.blobs.ends import below
from drkit.blobs.inventories import Stream
from drkit.blobs.vault import needs as vault_needs
from drkit.blobs.vault.leases import HeldLease
from drkit.blobs.vault.needs import UnreferencedObject, Waiting
from drkit.errors import NotDeleted, ToolFailed
from drkit.model import BucketPlace
from drkit.registry import storage
from drkit.tools.s3.bucket import Bucket

_BATCH = 1000
# The locks of so many objects are looked at, to tell when the first of them ends.
_LOOKED_AT = 200


@dataclass(frozen=True)
class VaultExpiry:
    """What has gone from the vault, or would go: blobs that no point needs, and their bytes.

    `versions` counts old versions and delete markers beside them. `locked` objects stay until their locks
    end, the first of them at `locked_until`; `refused` are not locked and stay all the same, for `refusal`.
    `waiting` blobs were put by a backup that has not ended well, and the next one takes them up.
    `left_alone` says why nothing was looked at, or why the rest stays.
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


@dataclass(frozen=True)
class VaultPruner:
    """A vault, and what still needs it: the inventories of all remaining points of all repositories.

    `newest` is when the newest of those points was finished; `directory` a private one, for what is merged.
    """

    vault: Bucket
    place: BucketPlace
    inventories: Sequence[Stream]
    newest: datetime
    directory: Path

    def plan(self, waiting: Waiting) -> Iterator[UnreferencedObject]:
        """What nobody needs, as a stream; raises RestoreDamaged for an inventory that cannot be read."""
        needed = inventories.merged(self.inventories, self.directory)
        top = f"{below(self.place)}{storage.BLOBS}/sha256/"
        listed = self.vault.listed_at_once(top, versions=self.vault.has_versions())
        return vault_needs.surplus(listed, needed, top, self.newest, waiting)

    def look(self) -> VaultExpiry:
        """What would go."""
        waiting, found = Waiting(), VaultExpiry(self.place.where)
        for each in self.plan(waiting):
            found = _counted(found, [each])
        return replace(found, waiting=waiting.blobs, waiting_bytes=waiting.bytes)

    def remove(self, lease: HeldLease) -> VaultExpiry:
        """Remove what nobody needs; raises the bucket's errors.

        The inventories are to be those of all points that are sealed now that our lease stands: a point that
        was sealed before it may need what none before needed.
        """
        waiting, found = Waiting(), VaultExpiry(self.place.where)
        plan = self.plan(waiting)
        while batch := list(islice(plan, _BATCH)):
            other = next(iter(lease.others()), None)
            if other is not None and other.work != "backup":
                # Whoever reads does not wait.
                said = f"{other.work} began on {other.process.host} (run {other.run}), so the rest stays"
                return replace(found, left_alone=said)
            # A backup that began meanwhile waits for our lease, as long as it is fresh.
            lease.check()
            kept = self._delete(batch)
            found = _counted(found, [each for each in batch if (each.key, each.version) not in kept])
            found = self._explained(found, [each for each in batch if (each.key, each.version) in kept], kept)
        return replace(found, waiting=waiting.blobs, waiting_bytes=waiting.bytes)

    def _delete(self, batch: Sequence[UnreferencedObject]) -> dict[tuple[str, str | None], str]:
        """Delete them; returns those that stay, and what the service said of each."""
        try:
            self.vault.delete([(each.key, each.version) for each in batch])
        except NotDeleted as error:
            return {(key, version): said for key, version, said in error.kept}
        return {}

    def _explained(
        self, found: VaultExpiry, stay: Sequence[UnreferencedObject], kept: dict[tuple[str, str | None], str]
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

    def _lock_of(self, found: UnreferencedObject) -> datetime | None:
        try:
            return self.vault.locked_until(found.key, found.version)
        except ToolFailed:
            # Whoever may not look at locks is told why the object stays, at least.
            return None


def _counted(found: VaultExpiry, gone: Sequence[UnreferencedObject]) -> VaultExpiry:
    blobs = sum(each.blob for each in gone)
    return replace(
        found,
        blobs=found.blobs + blobs,
        bytes=found.bytes + sum(each.size for each in gone),
        versions=found.versions + len(gone) - blobs,
    )
