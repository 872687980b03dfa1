"""`drkit verify`: the repository's own integrity, and that of the vault that its points rely on."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions import known_points
from drkit.blobs.ends import place_of_vault
from drkit.blobs.opening import open_bucket
from drkit.blobs.units import executors
from drkit.blobs.units.sources import BucketSource
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.reading import WORKERS
from drkit.blobs.vault.verifying import VaultVerified, Verification
from drkit.errors import PointsMissing, ToolFailed, UsageError, VaultDamaged
from drkit.model import ALL_DATA, SOME_DATA, STRUCTURE, Point, PointManifest
from drkit.points.catalog import Catalog, open_catalog
from drkit.progress import Listener, silent
from drkit.state.directory import State, private_directory
from drkit.tools.parallel import all_of
from drkit.tools.restic import output
from drkit.tools.restic import repository as restic


@dataclass(frozen=True)
class VerifyResult:
    """A repository whose structure, and as much of its data as was asked for, is sound; and its vault.

    `vault` is None where no point relies on one. `nothing_read`: no data is in the share that was asked for.
    """

    repository: str
    read_data_subset: str | None
    seconds: float
    vault: VaultVerified | None = None
    nothing_read: bool = False


def verify(
    settings: config.Config,
    repository: str | None,
    read_data_subset: str | None,
    listener: Listener = silent,
    cluster: str | None = None,
) -> VerifyResult:
    """Let restic check itself, and compare the vault with what the sealed points need of it.

    Raises ToolFailed if anything is damaged, a seal too, of which restic knows nothing; VaultDamaged with the
    result where it is the vault, PointsMissing with it where points are gone. Without a subset only the
    structure is looked at: a damaged pack of data, or a blob of the right size, goes unseen.
    With a cluster, the configured one or that at `cluster`, its workers read the vault; ClusterFailed and
    ClusterUnreachable tell of it.
    """
    if read_data_subset is not None and not output.is_subset(read_data_subset):
        raise UsageError(
            f'"{read_data_subset}" is not a share of the data',
            hint="for example 5%, 1/7 or 2G; 100% reads everything",
        )
    started = time.monotonic()
    settings = settings.at(repository).over(cluster)
    restic.require(restic.version())
    state = State(settings.site.state)
    state.prepare()
    with private_directory(state.runs, f"verify-{os.getpid()}") as directory:
        # A copy of what the repository has lost is no comfort to a machine that has no copies.
        catalog = open_catalog(settings, repository).without_copies(directory)
        catalog.repository.check(read_data_subset)
        nothing = read_data_subset is not None and output.is_empty_share(
            read_data_subset, catalog.repository.packs()
        )
        listing = catalog.look()
        points = listing.points
        missed = known_points.look(catalog, listing)
        known_points.learn(catalog, listing)
        _refuse_broken(points)
        sealed = [point.manifest for point in points if point.manifest]
        relying = [manifest for manifest in sealed if manifest.bucket is not None]
        vault = _vault(settings, catalog, relying, read_data_subset, directory, listener) if relying else None
    took = round(time.monotonic() - started, 3)
    result = VerifyResult(settings.repository(repository).name, read_data_subset, took, vault, nothing)
    _refuse_damage(result)
    if missed is not None:
        problem = missed.problems[0]
        raise PointsMissing(problem.message, hint=problem.hint, result=result)
    return result


def _refuse_damage(result: VerifyResult) -> None:
    vault = result.vault
    if vault is None:
        return
    if vault.bad and vault.elsewhere:
        raise VaultDamaged(
            f"{vault.bad:,} of {vault.blobs:,} blobs are not in {vault.where}, the configured vault: the"
            f" points have theirs in {vault.elsewhere}",
            hint="name that one in [vault], or copy it to the one that is named there",
            result=result,
        )
    if vault.bad:
        raise VaultDamaged(
            f"{vault.bad:,} of {vault.blobs:,} blobs in the vault cannot be restored:"
            f" {'; '.join(vault.faults[:3])}",
            hint="a new backup copies again what production still has; then run `drkit verify`",
            result=result,
        )
    if vault.locks_short:
        raise VaultDamaged(
            f"{vault.locks_short} of {vault.locks_read} locks that were looked at in the vault end earlier"
            " than they were set to",
            hint="a new backup sets all locks again; find out who may change locks there",
            result=result,
        )


def thorough(read_data_subset: str | None) -> int:
    """How much of what is stored such a verify looks at."""
    if read_data_subset is None:
        return STRUCTURE
    return ALL_DATA if read_data_subset.strip() in ("100%", "1/1") else SOME_DATA


def _refuse_broken(points: Sequence[Point]) -> None:
    """A repository may be sound and lack what a point needs: somebody has removed it."""
    broken = [point.doubt for point in points if point.doubt]
    if broken:
        raise ToolFailed(
            f"{len(broken)} recovery points cannot be used: {'; '.join(broken[:3])}",
            hint="a new backup makes a whole one; `restic forget` removes what is left of those,"
            " and `drkit points --forget ID` confirms that",
        )


def _vault(
    settings: config.Config,
    catalog: Catalog,
    manifests: Sequence[PointManifest],
    subset: str | None,
    directory: Path,
    listener: Listener,
) -> VaultVerified:
    bucketed = manifests[0].bucket
    assert bucketed is not None
    vault = vault_reading.vault_for(settings, bucketed)
    with open_bucket(vault) as bucket:
        place = place_of_vault(vault)
        executor = executors.executor(settings.cluster, WORKERS // BucketSource.at_once, directory)
        files = settings.cluster.credentials == "files"
        work = Verification(
            bucket, place, catalog.repository, manifests, directory, listener, executor, vault, files=files
        )
        # Not in this thread: an interruption then ends the work of all the others as well.
        outcome = all_of({"vault": lambda: work.run(subset)})["vault"]
        if outcome.bad:
            _refuse_moving(catalog, manifests)
        if elsewhere := vault_reading.elsewhere(place, manifests):
            # What this one lacks is no damage: nobody has copied it here.
            return replace(outcome, elsewhere=elsewhere)
        return replace(outcome, unrecorded=work.write_down())


def _refuse_moving(catalog: Catalog, manifests: Sequence[PointManifest]) -> None:
    """What `expire` has removed meanwhile need not be in the vault any more."""
    left = {point.id for point in catalog.points()}
    if any(manifest.id not in left for manifest in manifests):
        raise ToolFailed(
            "recovery points were removed while the vault was compared with them",
            hint="run `drkit verify` again when no `drkit expire` is under way",
        )
