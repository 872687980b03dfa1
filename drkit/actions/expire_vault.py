"""What `drkit expire` does in the vault: blobs that no point of any repository needs are removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from drkit import config
from drkit.catalog import Catalog, open_catalog
from drkit.errors import DrkitError, Interrupted, RestoreDamaged
from drkit.model import Manifest, utc_now
from drkit.sources.bucket.ends import place_of_vault
from drkit.sources.bucket.opening import open_bucket
from drkit.sources.vault import reading as vault_reading
from drkit.sources.vault.expiry import Keeper, VaultExpiry, alone
from drkit.state import State, new_id, private_directory
from drkit.tools.s3 import Bucket


def expire(
    settings: config.Config, state: State, doomed: Collection[str], *, dry_run: bool
) -> VaultExpiry | None:
    """Remove what nobody needs, or count it; None without a vault.

    `doomed` points have gone from the primary repository, or would. A copy of one in another repository still
    needs its blobs: where one repository cannot be read, the vault is left alone.
    """
    if settings.vault is None:
        return None
    place, run = place_of_vault(settings.vault), new_id(utc_now())
    with private_directory(state.runs, run) as directory, open_bucket(settings.vault) as vault:
        if dry_run:
            keeper = _keeper(settings, doomed, vault, directory)
            return VaultExpiry(place.where, left_alone=keeper) if isinstance(keeper, str) else keeper.look()
        with alone(vault, place, run, settings.site.name, state.machine) as mark:
            # Only now that our mark stands: a point that is sealed before it is one of those that remain.
            keeper = mark if isinstance(mark, str) else _keeper(settings, doomed, vault, directory)
            if isinstance(mark, str) or isinstance(keeper, str):
                return VaultExpiry(place.where, left_alone=str(keeper))
            return keeper.remove(mark)


def _keeper(settings: config.Config, doomed: Collection[str], vault: Bucket, directory: Path) -> Keeper | str:
    """What knows which blobs are needed, or why nothing does."""
    assert settings.vault is not None
    place = place_of_vault(settings.vault)
    try:
        needed = list(_needed(settings, doomed))
    except Interrupted:
        raise
    except DrkitError as error:
        return f"not every repository can be read whole: {error.message}"
    # Also those that call their vault otherwise: it may well be this one, by another name of its service.
    needed = [(catalog, manifest) for catalog, manifest in needed if manifest.bucket is not None]
    if not needed:
        return "no point has its blobs there, so nothing tells what to keep"
    streams = [
        partial(vault_reading.lines_for, place, catalog.repository, manifest) for catalog, manifest in needed
    ]
    newest = max(manifest.finished_at for _, manifest in needed)
    return Keeper(vault, place, streams, newest, directory)


def _needed(settings: config.Config, doomed: Collection[str]) -> Iterator[tuple[Catalog, Manifest]]:
    """Every sealed point that remains, each once: copies of one have the same inventory.

    Raises RestoreDamaged for a point whose seal is broken: nobody knows which blobs it needs.
    """
    seen = set()
    for number, repository in enumerate(settings.repositories):
        catalog = open_catalog(settings, repository.name)
        for point in catalog.points(locked=number == 0):
            if point.broken_seal:
                raise RestoreDamaged(f"point {point.id} was sealed, but {point.broken_seal}")
            gone = number == 0 and point.id in doomed
            if point.manifest is not None and not gone and point.id not in seen:
                seen.add(point.id)
                yield catalog, point.manifest
