"""What `drkit expire` does in the vault: blobs that no point of any repository needs are removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drkit import config
from drkit.actions import known_points
from drkit.actions.vault_reliants import reliants
from drkit.blobs.ends import place_of_vault
from drkit.blobs.opening import open_bucket
from drkit.blobs.vault import leases, repositories
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.leases import HeldLease
from drkit.blobs.vault.pruning import VaultExpiry, VaultPruner
from drkit.blobs.vault.repositories import Recorded
from drkit.blobs.vault.work import refuse_production
from drkit.errors import Failure, PointsMissing, RestoreDamaged, UsageError
from drkit.model import BucketPlace, PointManifest, utc_now
from drkit.points.catalog import Catalog, open_catalog
from drkit.state.directory import State, new_id, private_directory
from drkit.tools.s3.bucket import Bucket


def expire(
    settings: config.Config,
    state: State,
    doomed: Mapping[str, Collection[str]],
    *,
    dry_run: bool,
    forget: str | None = None,
    copied: bool = False,
) -> VaultExpiry | None:
    """Remove what nobody needs, or count it; None without a vault.

    `doomed` points have gone from each repository, or would. A copy of one in another repository still needs
    its blobs: where one repository cannot be read, or one that the vault has recorded is not
    configured, the vault is left alone. `forget` says which recorded one is gone for good. Into a vault that
    is `copied` to no backup puts anything, of which the next one could take it up.
    """
    if settings.vault is None:
        return None
    place, run = place_of_vault(settings.vault), new_id(utc_now())
    with private_directory(state.runs, run) as directory, open_bucket(settings.vault) as vault:
        work = _Work(settings, vault, place, directory, doomed, forget, copied)
        if dry_run:
            return work.look()
        with leases.held(vault, place, run, "expire", state.machine) as lease:
            refuse_production(settings, lease)
            return work.remove(lease)


def check_forgotten(settings: config.Config, wanted: str) -> None:
    """Raise UsageError where this is no repository that could be forgotten; nothing is removed."""
    if settings.vault is None:
        raise UsageError("there is no [vault] that could have recorded a repository", hint="see --config")
    with open_bucket(settings.vault) as vault:
        place = place_of_vault(settings.vault)
        repositories.forget(vault, place, wanted, reliants(settings), dry_run=True)


@dataclass(frozen=True)
class _Work:
    """One expire in one vault."""

    settings: config.Config
    vault: Bucket
    place: BucketPlace
    directory: Path
    doomed: Mapping[str, Collection[str]]
    forget: str | None
    copied: bool

    def look(self) -> VaultExpiry:
        """What would go."""
        keeper = self._keeper(dry_run=True)
        return self._left_alone(keeper) if isinstance(keeper, str) else keeper.look()

    def remove(self, lease: HeldLease) -> VaultExpiry:
        """Remove it, unless somebody works there."""
        other = next(iter(lease.others()), None)
        if other is not None:
            return self._left_alone(f"{other.work} works there, on {other.process.host} (run {other.run})")
        # Only now that our lease stands: a point that is sealed before it is one of those that remain.
        keeper = self._keeper(dry_run=False)
        return self._left_alone(keeper) if isinstance(keeper, str) else keeper.remove(lease)

    def _left_alone(self, why: str) -> VaultExpiry:
        return VaultExpiry(self.place.where, left_alone=why)

    def _keeper(self, *, dry_run: bool) -> VaultPruner | str:
        """What knows which blobs are needed, or why nothing does."""
        try:
            foreign = self._foreign(dry_run=dry_run)
            needed = [] if foreign else list(_needed(self.settings, self.doomed))
        except Failure as error:
            return f"not every repository can be read whole: {error.message}"
        if foreign:
            return foreign
        # Also those that call their vault otherwise: it may well be this one, by another name of its service.
        needed = [(catalog, manifest) for catalog, manifest in needed if manifest.bucket is not None]
        if not needed:
            return "no point has its blobs there, so nothing tells what to keep"
        streams = [
            partial(vault_reading.lines_for, self.place, catalog.repository, manifest)
            for catalog, manifest in needed
        ]
        newest = self.vault.now() if self.copied else max(manifest.finished_at for _, manifest in needed)
        return VaultPruner(self.vault, self.place, streams, newest, self.directory)

    def _foreign(self, *, dry_run: bool) -> str:
        """Who else relies on the vault, in a sentence; ours are recorded there if they are not yet."""
        ours = reliants(self.settings)
        gone: tuple[Recorded, ...] = ()
        if self.forget is not None:
            gone = repositories.forget(self.vault, self.place, self.forget, ours, dry_run=dry_run)
        records = [each for each in repositories.recorded(self.vault, self.place) if each not in gone]
        others = repositories.foreign(records, ours)
        if others:
            first = others[0].reliant
            return (
                f"{first} relies on it and is not configured here; if that is gone for good, run"
                f" `drkit expire --forget-repository {first.id[:16]}`"
            )
        if not dry_run and records:
            repositories.record(self.vault, self.place, ours, shared=True, known=records)
        return ""


def _needed(
    settings: config.Config, doomed: Mapping[str, Collection[str]]
) -> Iterator[tuple[Catalog, PointManifest]]:
    """Every sealed point that remains, each once: copies of one have the same inventory.

    Raises RestoreDamaged for a point whose seal is broken, PointsMissing for one that is gone: nobody knows
    which blobs it needs.
    """
    seen = set()
    for number, repository in enumerate(settings.repositories):
        catalog = open_catalog(settings, repository.name)
        listing = catalog.by_own_seals().look(locked=number == 0)
        if missed := known_points.look(catalog, listing):
            raise PointsMissing(missed.problems[0].message)
        for point in listing.points:
            if point.doubt:
                raise RestoreDamaged(point.doubt)
            gone = point.id in doomed.get(repository.name, ())
            if point.manifest is not None and not gone and point.id not in seen:
                seen.add(point.id)
                yield catalog, point.manifest
