"""`drkit verify`: the repository's own integrity, and that of the vault that its points rely on."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from drkit import config
from drkit.catalog import Catalog, open_catalog
from drkit.errors import DrkitError, ToolFailed, UsageError, VaultDamaged
from drkit.model import Manifest, Point
from drkit.progress import Listener, silent
from drkit.sources.bucket.ends import place_of_vault
from drkit.sources.bucket.opening import open_bucket
from drkit.sources.vault import reading as vault_reading
from drkit.sources.vault.verifying import VaultVerified, Verification
from drkit.state import State, private_directory
from drkit.tools import restic, restic_output
from drkit.tools.parallel import together


@dataclass(frozen=True)
class VerifyResult:
    """A repository whose structure, and as much of its data as was asked for, is sound; and its vault.

    `vault` is None where no point relies on one.
    """

    repository: str
    read_data_subset: str | None
    seconds: float
    vault: VaultVerified | None = None


def verify(
    settings: config.Config,
    repository: str | None,
    read_data_subset: str | None,
    listener: Listener = silent,
) -> VerifyResult:
    """Let restic check itself, and compare the vault with what the sealed points need of it.

    Raises ToolFailed if anything is damaged, a seal too, of which restic knows nothing; VaultDamaged with the
    result where it is the vault. Without a subset only the structure is looked at: a damaged pack of data, or
    a blob of the right size, goes unseen.
    """
    if read_data_subset is not None and not restic_output.is_subset(read_data_subset):
        raise UsageError(
            f'"{read_data_subset}" is no part of the data',
            hint="for example 5%, 1/7 or 2G; 100% reads everything",
        )
    started = time.monotonic()
    restic.require(restic.version())
    catalog = open_catalog(settings, repository)
    catalog.repository.check(read_data_subset)
    points = catalog.points()
    _refuse_broken(points)
    sealed = [point.manifest for point in points if point.manifest]
    relying = [manifest for manifest in sealed if manifest.bucket is not None]
    vault = _vault(settings, catalog, relying, read_data_subset, listener) if relying else None
    took = round(time.monotonic() - started, 3)
    result = VerifyResult(settings.repository(repository).name, read_data_subset, took, vault)
    if vault is not None and vault.bad:
        _refuse_moving(catalog, relying)
        raise VaultDamaged(
            f"{vault.bad:,} of {vault.blobs:,} blobs in the vault cannot be restored:"
            f" {'; '.join(vault.faults[:3])}",
            hint="a new backup copies again what production still has; then look with `drkit verify`",
            result=result,
        )
    return result


def _refuse_broken(points: Sequence[Point]) -> None:
    """A repository may be sound and lack what a point needs: somebody has removed it."""
    broken = [f"{point.id}: {point.broken_seal}" for point in points if point.broken_seal]
    if broken:
        raise ToolFailed(
            f"{len(broken)} recovery points were sealed and cannot be used: {'; '.join(broken[:3])}",
            hint="a new backup makes a whole one; `restic forget` removes what is left of those",
        )


def _vault(
    settings: config.Config,
    catalog: Catalog,
    manifests: Sequence[Manifest],
    subset: str | None,
    listener: Listener,
) -> VaultVerified:
    bucketed = manifests[0].bucket
    assert bucketed is not None
    vault = vault_reading.vault_for(settings, bucketed)
    state = State(settings.site.state)
    state.prepare()
    with (
        open_bucket(vault) as bucket,
        private_directory(state.runs, f"verify-{os.getpid()}") as directory,
    ):
        place = place_of_vault(vault)
        work = Verification(bucket, place, catalog.repository, manifests, directory, listener)
        # Not in this thread: an interruption then ends the work of all the others as well.
        outcome = together({"vault": lambda: work.run(subset)})["vault"]
    if isinstance(outcome, DrkitError):
        raise outcome
    return outcome


def _refuse_moving(catalog: Catalog, manifests: Sequence[Manifest]) -> None:
    """What `expire` has removed meanwhile need not be in the vault any more."""
    left = {point.id for point in catalog.points()}
    if any(manifest.id not in left for manifest in manifests):
        raise ToolFailed(
            "recovery points were removed while the vault was compared with them",
            hint="run `drkit verify` again when no `drkit expire` is under way",
        )
