"""What `drkit expire` does in the vault: blobs that no point of any repository needs are removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial

from drkit import config
from drkit.catalog import Catalog, open_catalog
from drkit.errors import DrkitError
from drkit.model import Manifest, utc_now
from drkit.sources.bucket.ends import place_of_vault
from drkit.sources.bucket.opening import open_bucket
from drkit.sources.vault import reading as vault_reading
from drkit.sources.vault.expiry import Keeper, VaultExpiry
from drkit.state import State, new_id, private_directory


def expire(
    settings: config.Config, state: State, doomed: Collection[str], *, dry_run: bool
) -> VaultExpiry | None:
    """Remove what nobody needs, or count it; None without a vault.

    `doomed` points have gone from the primary repository, or would. A copy of one in another repository still
    needs its blobs: where one repository cannot be read, the vault is left alone.
    """
    if settings.vault is None:
        return None
    place = place_of_vault(settings.vault)
    try:
        needed = list(_needed(settings, doomed))
    except DrkitError as error:
        return VaultExpiry(place.where, left_alone=f"not every repository can be read: {error.message}")
    # Also those that call their vault otherwise: it may well be this one, by another name of its service.
    needed = [(catalog, manifest) for catalog, manifest in needed if manifest.bucket is not None]
    if not needed:
        return VaultExpiry(
            place.where, left_alone="no point has its blobs there, so nothing tells what to keep"
        )
    run = new_id(utc_now())
    with private_directory(state.runs, run) as directory, open_bucket(settings.vault) as vault:
        keeper = Keeper(
            vault,
            place,
            [
                partial(vault_reading.lines_for, place, catalog.repository, manifest)
                for catalog, manifest in needed
            ],
            max(manifest.finished_at for _, manifest in needed),
            directory,
        )
        if dry_run:
            return keeper.look()
        return keeper.expire(run, settings.site.name, state.machine)


def _needed(settings: config.Config, doomed: Collection[str]) -> Iterator[tuple[Catalog, Manifest]]:
    """Every sealed point that remains, each once: copies of one have the same inventory."""
    seen = set()
    for number, repository in enumerate(settings.repositories):
        catalog = open_catalog(settings, repository.name)
        for point in catalog.points(locked=number == 0):
            gone = number == 0 and point.id in doomed
            if point.manifest is not None and not gone and point.id not in seen:
                seen.add(point.id)
                yield catalog, point.manifest
