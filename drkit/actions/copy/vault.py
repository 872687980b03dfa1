"""The blobs of a bucket in a second vault: what it lacks of the first, before the points that need them.

A copied point whose blobs are in the first vault alone is worth nothing when that is lost. So what its
inventory lists is brought to the second, by the service itself where it can, else through here, each with
its hash proven; and a point is copied only if everything is there then.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.blobs import inventories, inventory
from drkit.blobs.bucket.capture import BucketCapture
from drkit.blobs.ends import Ends, place_of_vault
from drkit.blobs.inventories import Stream
from drkit.blobs.inventory import Entry
from drkit.blobs.opening import open_bucket
from drkit.blobs.vault import damage, leases, reading, repositories, separate
from drkit.blobs.vault.leases import HeldLease
from drkit.blobs.vault.object_lock import locking_of
from drkit.blobs.vault.pending_copies import PendingCopies
from drkit.blobs.vault.repositories import Recorded, Reliant
from drkit.files import make_directory
from drkit.logs import redact
from drkit.model import PointManifest, utc_now
from drkit.points.catalog import Catalog
from drkit.points.copies import Wanted
from drkit.points.listing import Listing
from drkit.progress import Listener
from drkit.state.directory import new_id, private_directory


@dataclass(frozen=True)
class VaultCopied:
    """What was new to the second vault, `where`; `bad` blobs of the first do not hash to their names."""

    where: str
    blobs: int = 0
    bytes: int = 0
    bad: int = 0
    bad_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Brought:
    """What came to the second vault, and why points cannot be copied all the same, by their ids."""

    copied: VaultCopied
    lacking: dict[str, str]


@contextlib.contextmanager
def bringing(
    settings: config.Config,
    source: Catalog,
    target: Catalog,
    wanted: Sequence[Wanted],
    there: Listing,
    listener: Listener,
) -> Iterator[Brought | None]:
    """Bring the blobs of the points, and keep others from removing them until the points are there as well.

    None where the repository has no vault of its own, or no point relies on one. Raises NotOurs for a vault
    of another repository, SiteLocked where an expire there does not end, and the buckets' errors.
    """
    own = settings.repository(target.name).vault
    bucketed = [each.manifest.bucket for each in wanted if each.manifest.bucket]
    bucketed += [manifest.bucket for manifest in _bucketed(there) if manifest.bucket]
    if own is None or not bucketed:
        yield None
        return
    first = reading.vault_for(settings, bucketed[0])
    run = new_id(utc_now())
    with contextlib.ExitStack() as stack:
        ends = Ends(
            stack.enter_context(open_bucket(first)),
            place_of_vault(first),
            stack.enter_context(open_bucket(own)),
            place_of_vault(own),
        )
        work = _Bringing(settings.at(target.name), source, target, ends, listener)
        known = repositories.recorded(ends.vault, ends.vault_place)
        streams = [work.lines(source, each.manifest) for each in wanted if each.manifest.bucket]
        if not work.recorded(known) or work.unproven.exists():
            # What was copied before it had this vault, or by a copy that lost its lease: an expire may have
            # removed meanwhile what that had brought.
            streams += [work.lines(target, each) for each in _bucketed(there)]
        if not streams:
            yield None
            return
        repositories.refuse_foreign(known, (work.reliant,), ends.vault_place, shared=own.shared)
        directory = stack.enter_context(private_directory(target.state.runs, run))
        machine = target.state.machine
        stack.enter_context(leases.reading(ends.source, ends.source_place, run, "copy", machine))
        lease = stack.enter_context(leases.held(ends.vault, ends.vault_place, run, "copy", machine))
        make_directory(work.unproven.parent, 0o700, exist_ok=True)
        work.unproven.touch(0o600)
        yield work.bring(lease, directory, known, wanted, streams, shared=own.shared)
        lease.check()
        work.unproven.unlink(missing_ok=True)


def _bucketed(there: Listing) -> Iterator[PointManifest]:
    """The manifests of points that rely on a vault."""
    return (p.manifest for p in there.points if p.manifest and p.manifest.bucket)


@dataclass(frozen=True)
class _Bringing:
    """One bringing; the vault of the settings is the second."""

    settings: config.Config
    source: Catalog
    target: Catalog
    ends: Ends
    listener: Listener

    @property
    def reliant(self) -> Reliant:
        """The repository whose points rely on the second vault."""
        access = self.target.repository.access
        return Reliant(self.target.repository.id, self.target.site, redact(access.url))

    def recorded(self, known: Sequence[Recorded]) -> bool:
        """Whether everything was brought once."""
        return any(each.reliant.identity == self.reliant.identity for each in known)

    def bring(
        self,
        lease: HeldLease,
        directory: Path,
        known: Sequence[Recorded],
        wanted: Sequence[Wanted],
        streams: Sequence[Stream],
        *,
        shared: bool,
    ) -> Brought:
        """Bring what the streams list, and say in the vault who relies on it."""
        ends = self.ends
        separate.refuse_same(
            ends.source, ends.source_place, ends.vault, ends.vault_place, (lease.key, lease.nonce)
        )
        leases.wait_for(lease, lambda other: other.work == "expire", self.settings.site.lock_wait)
        capture = self._captured(directory, streams)
        # From here on everything is there: what is cut off before this is begun again.
        repositories.record(ends.vault, ends.vault_place, (self.reliant,), shared=shared, known=known)
        self._keep(capture.inventory)
        lease.check()
        copied = VaultCopied(
            ends.vault_place.where,
            capture.copied.copied,
            capture.copied.bytes,
            capture.copied.bad.count,
            capture.copied.bad.first,
        )
        return Brought(copied, dict(self._lacking(wanted, capture.inventory)))

    def lines(self, catalog: Catalog, manifest: PointManifest) -> Stream:
        """What a point needs, as the lines of its inventory."""
        part = manifest.need("inventory", "inventory")
        return lambda: catalog.repository.read(part.snapshot, part.path)

    def _captured(self, directory: Path, streams: Sequence[Stream]) -> BucketCapture:
        """What is needed and can be had is in the second vault, and locked, where that locks."""
        ends = self.ends
        doubts = PendingCopies(self.target.state.copying.with_name(f"copying.{self.target.name}"))
        doubts.settle(ends.vault, ends.vault_place)
        damaged = damage.remembered(ends.vault, ends.vault_place)
        capture = BucketCapture(
            ends,
            directory,
            self._before,
            locking_of(ends.vault, self.settings, ends.vault.now()),
            self.listener,
            doubts,
            damage.digests(damaged),
            lambda: inventories.merged(streams, directory),
        )
        capture.copy()
        damage.settle(ends.vault, damaged, capture.repaired, locks=True)
        return capture

    def _lacking(self, wanted: Sequence[Wanted], brought: Path) -> Iterator[tuple[str, str]]:
        for each in (each for each in wanted if each.manifest.bucket):
            needed = inventory.from_lines(self.lines(self.source, each.manifest)())
            gone = list(lacking(reading.checked(needed), inventory.from_file(brought)))
            if gone:
                yield (
                    each.point.id,
                    f"blobs that it needs cannot be had from the first vault, such as {gone[0]}",
                )

    @property
    def unproven(self) -> Path:
        """There until the points of a copy are there, and nobody can have removed a blob meanwhile."""
        return self._of_place("unproven")

    @property
    def _known(self) -> Path:
        """The inventory of the second vault as this machine left it: how long what is locked there."""
        return self._of_place(inventory.FILE_NAME)

    def _of_place(self, name: str) -> Path:
        place = hashlib.sha256(repr(self.ends.vault_place).encode()).hexdigest()[:16]
        return self.target.state.known / f"{self.target.name}.{place}.{name}"

    def _before(self) -> Iterator[Entry]:
        """Without it everything is locked anew, and nothing else changes."""
        if self._known.exists():
            yield from inventory.from_file(self._known)

    def _keep(self, made: Path) -> None:
        partial = self._known.with_suffix(".part")
        partial.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(made, partial)
        partial.replace(self._known)


def lacking(needed: Iterable[Entry], there: Iterable[Entry]) -> Iterator[str]:
    """The digests of what is needed and is not there with that size; both sorted by digest: pure."""
    rest = iter(there)
    found = next(rest, None)
    for entry in needed:
        while found is not None and found.digest < entry.digest:
            found = next(rest, None)
        if found is None or (found.digest, found.size) != (entry.digest, entry.size):
            yield entry.digest
