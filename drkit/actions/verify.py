"""`drkit verify`: the repository's own integrity, and that of the vault that its points rely on."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions import known_points
from drkit.actions.known_points import Missed
from drkit.actions.reread import recording
from drkit.actions.reread.blobs import LongestUnread, NoBlobs, ShareOfBlobs
from drkit.actions.reread.budget import Limits
from drkit.actions.reread.checkpoints import Checkpoints
from drkit.actions.reread.packs import Packs, PacksRead
from drkit.blobs.ends import place_of_vault
from drkit.blobs.opening import open_bucket
from drkit.blobs.share import share
from drkit.blobs.units import executors
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.reading import WORKERS
from drkit.blobs.vault.verifying import Reading, VaultVerified, Verification
from drkit.errors import Failure, Interrupted, PointsMissing, ToolFailed, UsageError, VaultDamaged
from drkit.files import named_after
from drkit.model import ALL_DATA, SOME_DATA, STRUCTURE, Point, PointManifest
from drkit.model.reread import Reread
from drkit.points.catalog import Catalog, open_catalog
from drkit.points.ledger.keeping import Book
from drkit.progress import Listener, silent
from drkit.state.directory import State, private_directory
from drkit.tools.parallel import all_of
from drkit.tools.restic import integrity, output
from drkit.tools.restic import repository as restic


@dataclass(frozen=True)
class VerifyResult:
    """A repository whose structure, and as much of its data as was asked for, is sound; and its vault.

    `vault` is None where no point relies on one. `nothing_read`: no data is in the share that was asked for.
    `packs` is how much of the repository was read, where that is known; `reread` how far reading is now, by
    the ledger that was written, `unrecorded` why what was read is not in it, `doubts` why others count for
    nothing.
    """

    repository: str
    read_data_subset: str | None
    seconds: float
    vault: VaultVerified | None = None
    nothing_read: bool = False
    packs: PacksRead | None = None
    reread: tuple[Reread, ...] = ()
    unrecorded: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class VerifyOptions:
    """What the command line says: a share of the data, or limits for what was not read for longest.

    `cluster` is the address of a scheduler whose workers read the vault, instead of what [cluster] says.
    """

    repository: str | None = None
    read_data_subset: str | None = None
    limits: Limits | None = None
    cluster: str | None = None

    def require_sensible(self) -> None:
        """Raise UsageError for what makes no sense."""
        subset = self.read_data_subset
        if subset is not None and not output.is_subset(subset):
            raise UsageError(
                f'"{subset}" is not a share of the data',
                hint="for example 5%, 1/7 or 2G; 100% reads everything",
            )
        if subset is not None and self.limits is not None:
            raise UsageError(
                "--read-data-subset does not go together with --for or --bytes",
                hint="the latter read what was not read for longest, the former a share",
            )

    @property
    def reads(self) -> bool:
        """Whether any data is to be read."""
        return self.read_data_subset is not None or self.limits is not None


def verify(settings: config.Config, options: VerifyOptions, listener: Listener = silent) -> VerifyResult:
    """Let restic check itself, and compare the vault with what the sealed points need of it.

    Raises ToolFailed if anything is damaged, a seal too, of which restic knows nothing; VaultDamaged with the
    result where it is the vault, PointsMissing with it where points are gone. Without a subset or limits only
    the structure is looked at: a damaged pack of data, or a blob of the right size, goes unseen. Where the
    workers of a cluster read the vault, ClusterFailed and ClusterUnreachable tell of it.
    """
    options.require_sensible()
    settings = settings.at(options.repository).over(options.cluster)
    restic.require(restic.version())
    state = State(settings.site.state)
    state.prepare()
    own = private_directory(state.runs, f"verify-{os.getpid()}")
    with named_after(state.runs), own as directory:
        # A copy of what the repository has lost is no comfort to a machine that has no copies.
        catalog = open_catalog(settings, options.repository).without_copies(directory)
        result, missed = _Verify(settings, options, catalog, directory, listener).run()
    _refuse_damage(result)
    if missed is not None:
        problem = missed.problems[0]
        raise PointsMissing(problem.message, hint=problem.hint, result=result)
    return result


@dataclass(frozen=True)
class _Reading:
    """What one verify reads: since when (monotonic), its ledger, and the packs of the repository."""

    began: float
    ledger: Book
    checkpoints: Checkpoints
    packs: Packs

    def left(self, limits: Limits) -> Limits:
        """What of the limits the vault may use."""
        return limits.after(time.monotonic() - self.began, self.packs.read_bytes)


@dataclass(frozen=True)
class _Verify:
    """One verify of a repository and its vault; `directory` is the run's own."""

    settings: config.Config
    options: VerifyOptions
    catalog: Catalog
    directory: Path
    listener: Listener

    def run(self) -> tuple[VerifyResult, Missed | None]:
        """What was found, and which points are missed; raises what stops it."""
        started, catalog, options = time.monotonic(), self.catalog, self.options
        if not options.reads:
            integrity.check(catalog.repository.access)
            return self._look(started)
        ledger = recording.open_ledger(catalog, "verify", self.directory / "ledger")
        try:
            return self._read(started, ledger)
        except Interrupted:
            recording.write_in_a_hurry(ledger, catalog.repository)
            raise

    def _read(self, started: float, ledger: Book) -> tuple[VerifyResult, Missed | None]:
        """Read what is to be read, and look at the rest; whatever ends it, what was read is written down."""
        target, options = self.settings.objectives.reread, self.options
        checkpoints = Checkpoints(ledger)
        try:
            packs = Packs(self.catalog.repository, ledger.round("packs", self.catalog.name))
            if options.limits is None:
                packs.check(options.read_data_subset)
            else:
                packs.check_longest_unread(options.limits.share(self._part(packs)), checkpoints)
            checkpoints.look()
            result, missed = self._look(started, _Reading(started, ledger, checkpoints, packs))
        except Failure:
            # What was read and right before stays so, and what is wrong must not count as right any more.
            recording.write(ledger, target)
            raise
        reread, unrecorded = recording.write(ledger, target)
        subset = options.read_data_subset
        found = packs.found if options.limits or subset is None or output.prefixes(subset) else None
        nothing = subset is not None and output.is_empty_share(subset, packs.names())
        return replace(
            result,
            packs=found,
            nothing_read=nothing,
            reread=reread,
            unrecorded=unrecorded,
            doubts=ledger.found.doubts,
        ), missed

    def _part(self, packs: Packs) -> float:
        """Which part of the budget is the repository's; the vault has the rest, by their sizes."""
        points = self.catalog.points()
        every = [point.manifest for point in points if point.manifest and point.manifest.bucket]
        blobs = max((part.bytes for m in every if (part := m.images)), default=0)
        return packs.found.every_byte / max(packs.found.every_byte + blobs, 1) if blobs else 1.0

    def _look(self, started: float, reading: _Reading | None = None) -> tuple[VerifyResult, Missed | None]:
        """The points, and the vault that they rely on."""
        catalog = self.catalog
        listing = catalog.look()
        points = listing.points
        missed = known_points.look(catalog, listing)
        known_points.learn(catalog, listing)
        _refuse_broken(points)
        sealed = [point.manifest for point in points if point.manifest]
        relying = [manifest for manifest in sealed if manifest.bucket is not None]
        vault = self._vault(relying, reading) if relying else None
        took = round(time.monotonic() - started, 3)
        return VerifyResult(catalog.name, self.options.read_data_subset, took, vault), missed

    def _vault(self, manifests: Sequence[PointManifest], reading: _Reading | None) -> VaultVerified:
        bucketed = manifests[0].bucket
        assert bucketed is not None
        vault = vault_reading.vault_for(self.settings, bucketed)
        with open_bucket(vault) as bucket:
            place = place_of_vault(vault)
            work = Verification(
                bucket,
                place,
                self.catalog.repository,
                manifests,
                self.directory,
                self.listener,
                executors.executor(self.settings.cluster, WORKERS, self.directory),
            )
            chosen = self._chosen(manifests, reading, place.where)
            # Not in this thread: an interruption then ends the work of all the others as well.
            outcome = all_of({"vault": lambda: work.run(chosen)})["vault"]
            if outcome.bad:
                _refuse_moving(self.catalog, manifests)
            if elsewhere := vault_reading.elsewhere(place, manifests):
                # What this one lacks is no damage: nobody has copied it here.
                return replace(outcome, elsewhere=elsewhere)
            return replace(outcome, unrecorded=work.write_down())

    def _chosen(self, manifests: Sequence[PointManifest], reading: _Reading | None, where: str) -> Reading:
        """Which blobs are read: of what was not read for longest, as much as is left of the limits."""
        if reading is None:
            return NoBlobs()
        made, limits = reading.ledger.round("vault", where), self.options.limits
        if limits is None:
            largest = max((part.bytes for m in manifests if (part := m.images)), default=0)
            return ShareOfBlobs(made, share(self.options.read_data_subset, largest), reading.checkpoints.look)
        unread = self.directory / "unread.db"
        return LongestUnread(made, reading.left(limits), unread, reading.checkpoints.look)


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


def thorough(options: VerifyOptions) -> int:
    """How much of what is stored such a verify looks at."""
    if not options.reads:
        return STRUCTURE
    subset = options.read_data_subset or ""
    return ALL_DATA if subset.strip() in ("100%", "1/1") else SOME_DATA


def _refuse_broken(points: Sequence[Point]) -> None:
    """A repository may be sound and lack what a point needs: somebody has removed it."""
    broken = [point.doubt for point in points if point.doubt]
    if broken:
        raise ToolFailed(
            f"{len(broken)} recovery points cannot be used: {'; '.join(broken[:3])}",
            hint="a new backup makes a whole one; `restic forget` removes what is left of those,"
            " and `drkit points --forget ID` confirms that",
        )


def _refuse_moving(catalog: Catalog, manifests: Sequence[PointManifest]) -> None:
    """What `expire` has removed meanwhile need not be in the vault any more."""
    left = {point.id for point in catalog.points()}
    if any(manifest.id not in left for manifest in manifests):
        raise ToolFailed(
            "recovery points were removed while the vault was compared with them",
            hint="run `drkit verify` again when no `drkit expire` is under way",
        )
