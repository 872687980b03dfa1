"""`drkit expire`: apply retention to whole recovery points, and say why each is kept or removed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from drkit import config
from drkit.actions import hosts, known_points
from drkit.actions.known_points import Missed
from drkit.errors import DrkitError, Failure, NotRemoved, PointsMissing
from drkit.model import Point, utc_now
from drkit.points import collapse, drill_reports, retention, seals
from drkit.points.catalog import Catalog, open_catalog
from drkit.points.ledger import keeping
from drkit.points.listing import Listing
from drkit.points.ownership import host_of
from drkit.state.directory import State
from drkit.tools.restic import repository as restic
from drkit.tools.restic.output import Snapshot

if TYPE_CHECKING:
    from drkit.blobs.vault.pruning import VaultExpiry

log = logging.getLogger(__name__)

# How long it stands in the repository which points were removed: other hosts look there meanwhile.
_RECORDED = timedelta(days=90)


@dataclass(frozen=True)
class ExpireLine:
    """What happens to one point in one repository, and why."""

    point: str
    keep: bool
    reasons: tuple[str, ...]
    repository: str


@dataclass(frozen=True)
class ExpireResult:
    """What retention decided, and whether it was done."""

    decisions: tuple[ExpireLine, ...]
    kept: int
    removed: int
    dry_run: bool
    # Points that were to be removed and are still there.
    remaining: int = 0
    # What became of the vault's blobs; None where there is no vault.
    vault: VaultExpiry | None = None
    # The same of the vaults of further repositories.
    further_vaults: tuple[VaultExpiry, ...] = ()
    # Repositories from which this host may not remove, each with what to do.
    left_alone: tuple[str, ...] = ()


def expire(
    settings: config.Config, *, dry_run: bool, forget: str | None = None, repository: str | None = None
) -> ExpireResult:
    """Remove what no rule keeps, from every repository or one; what fails in one does not stop the others.

    Raises the first of their errors with the result: PointsMissing, NotRemoved, those of restic; SiteLocked.
    `forget` names a repository that is gone for good, so that the vault need not keep its blobs.
    """
    restic.require(restic.version())
    state = State(settings.site.state)
    state.prepare()
    names = [each.name for each in settings.repositories]
    if repository is not None:
        names = [settings.repository(repository).name]
    with state.site_lock("expire", settings.site.lock_wait):
        if forget is not None:
            # A wrong id is found before anything is removed.
            from drkit.actions.expire import vault as expire_vault

            expire_vault.check_forgotten(settings, forget)
        done: list[_Expiry] = []
        first: DrkitError | None = None
        for name in names:
            done.append(work := _Expiry(settings, name, named=repository is not None, dry_run=dry_run))
            try:
                work.run()
            except Failure as error:
                first = first or error
        result = _summed_up(done, dry_run=dry_run)
        if first is not None:
            # The vault is not looked at: what is still there, by what is listed now, needs its blobs.
            first.result = result
            raise first
        # After the points: what is cut off between leaves blobs that nobody needs, no point without blobs.
        gone = {work.name: work.gone for work in done}
        vault, further = _in_vaults(settings, state, gone, dry_run=dry_run, forget=forget)
    result = replace(result, vault=vault, further_vaults=further)
    for kept in (each for each in (vault, *further) if each is not None and each.refused):
        raise NotRemoved(
            f"{kept.refused} objects could not be removed from the vault {kept.where}: {kept.refusal}",
            hint="the points are gone; what stays in the vault is tried again by the next `drkit expire`",
            result=result,
        )
    return result


def _in_vaults(
    settings: config.Config,
    state: State,
    gone: Mapping[str, Collection[str]],
    *,
    dry_run: bool,
    forget: str | None,
) -> tuple[VaultExpiry | None, tuple[VaultExpiry, ...]]:
    """The vault of the first repository, and those of further ones, which their own points alone need."""
    if not settings.vault and not settings.with_vaults:
        return None, ()
    # Here, for most sites have none: to load it takes as long as a restic.
    from drkit.actions.expire import vault as expire_vault

    first = expire_vault.expire(settings, state, gone, dry_run=dry_run, forget=forget)
    alone = (settings.alone(each.name) for each in settings.with_vaults)
    further = [expire_vault.expire(each, state, gone, dry_run=dry_run, copied=True) for each in alone]
    return first, tuple(each for each in further if each)


def _summed_up(done: Sequence[_Expiry], *, dry_run: bool) -> ExpireResult:
    lines = tuple(line for work in done for line in work.lines)
    doomed = sum(not line.keep for line in lines)
    remaining = sum(work.remaining for work in done)
    left_alone = tuple(work.left_alone for work in done if work.left_alone)
    return ExpireResult(
        lines,
        len(lines) - doomed,
        doomed - remaining,
        dry_run,
        remaining=remaining,
        left_alone=left_alone,
    )


@dataclass
class _Expiry:
    """Retention in one repository, `named` by the command line or one of all; `gone` points were removed."""

    settings: config.Config
    name: str
    named: bool
    dry_run: bool
    lines: tuple[ExpireLine, ...] = ()
    gone: frozenset[str] = frozenset()
    remaining: int = 0
    left_alone: str = ""

    def run(self) -> None:
        """Decide, and remove; raises what stops it."""
        catalog = open_catalog(self.settings, self.name)
        chosen = self.settings.repository(self.name)
        if chosen is not self.settings.primary and not self.named:
            may = catalog.repository.removals()
            if may.allowed is False:
                self.left_alone = (
                    f"{self.name}: nothing is removed, since this host may not ({may.why}): run"
                    f" `drkit expire --repository {self.name}` on one that may"
                )
                return
        # What others say of a point must not be why it goes, or another in its place.
        listing = catalog.by_own_seals().look(locked=True, strict=True)
        _refuse_missing(known_points.look(catalog, listing))
        now = utc_now()
        own = hosts.ownership(self.settings).own(listing.points)
        lost = collapse.unconfirmed(own, listing.confirmed, now)
        rules = self.settings.retention_of(chosen)
        decisions = retention.plan(own, rules, now, collapses=lost)
        doomed = [decision.point for decision in decisions if not decision.keep]
        self.lines = (
            *(ExpireLine(each.point.id, each.keep, each.reasons, self.name) for each in decisions),
            *self._others(listing.points, own),
        )
        if not self.dry_run:
            self._remove(catalog, doomed, listing, rules.keep_drill_reports)
        self.gone = frozenset(point.id for point in doomed)

    def _others(self, points: Sequence[Point], own: Sequence[Point]) -> Iterator[ExpireLine]:
        """The points of other hosts: theirs to remove, until somebody takes them over."""
        mine = {point.id for point in own}
        for point in points:
            if point.manifest is not None and point.id not in mine:
                host = host_of(point)
                why = f"made by {host}, not by this host: see `drkit points --take-over {host}`"
                yield ExpireLine(point.id, True, (why,), self.name)

    def _remove(
        self, catalog: Catalog, doomed: Sequence[Point], listing: Listing, reports: timedelta
    ) -> None:
        # Before they go: what is cut off must not make them missed.
        known_points.learn(catalog, listing, without={point.id for point in doomed})
        try:
            remove(catalog, doomed, listing, reports)
        except NotRemoved:
            there = {point.id for point in catalog.points()}
            self.remaining = sum(point.id in there for point in doomed)
            raise
        catalog.repository.prune()


def remove(catalog: Catalog, points: Sequence[Point], listing: Listing, reports: timedelta) -> None:
    """Forget points, every seal first: a run that is cut off leaves incomplete points, none that lie.

    That they were removed is recorded in the repository; of the earlier records those go that nobody needs.
    Reports of their drills stay as long as `reports` says: they are the auditor's.
    """
    ids = {point.id for point in points}
    older = {snapshot for point in points for snapshot in point.superseded}
    sealing = {point.manifest_snapshot for point in points if point.manifest_snapshot}
    parts = [snapshot for point in points for snapshot in point.snapshots]
    drills = drill_reports.outlived(listing, ids, reports, utc_now())
    # The newest ledger is never among them: what was taken in by another is in that.
    ledgers = keeping.superseded(listing.snapshots)
    if not points and not drills and not ledgers:
        return
    records = [record.id for record in listing.records if _outlived(record, ids)]
    # An older seal of the same point would count again as soon as the newer one is gone.
    catalog.repository.forget(sorted(older))
    catalog.repository.forget(sorted(sealing))
    _record(catalog, [point.id for point in points if point.manifest])
    rest = [snapshot for snapshot in parts if snapshot not in older | sealing]
    catalog.repository.forget([*rest, *drills, *records, *ledgers])


def _outlived(record: Snapshot, gone: Collection[str]) -> bool:
    """Whether a record is of no use any more: a confirmation goes with its point, another by its age."""
    confirmed = seals.values(record, seals.CONFIRMED)
    return set(confirmed) <= set(gone) if confirmed else utc_now() - record.time > _RECORDED


def _record(catalog: Catalog, points: Sequence[str]) -> None:
    """A record that cannot be written (a full disk, say) does not keep `expire` from making room."""
    try:
        if points:
            catalog.record_expired(points)
    except Failure as error:
        log.warning("other hosts will miss the points that were removed: %s", error.message)


def _refuse_missing(missed: Missed | None) -> None:
    """Raise PointsMissing: what is left may be an older copy, and the vault's blobs those that are needed."""
    if missed is not None:
        problem = missed.problems[0]
        raise PointsMissing(f"nothing was removed: {problem.message}", hint=problem.hint)
