"""`drkit expire`: apply retention to whole recovery points, and say why each is kept or removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drkit import config, retention
from drkit.actions import expire_vault
from drkit.catalog import Catalog, open_catalog
from drkit.model import Point, utc_now
from drkit.retention import Decision
from drkit.sources.vault.expiry import VaultExpiry
from drkit.state import State
from drkit.tools import restic


@dataclass(frozen=True)
class ExpireLine:
    """What happens to one point, and why."""

    point: str
    keep: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ExpireResult:
    """What retention decided, and whether it was done."""

    decisions: tuple[ExpireLine, ...]
    kept: int
    removed: int
    dry_run: bool
    # What became of the vault's blobs; None where there is no vault.
    vault: VaultExpiry | None = None


def expire(settings: config.Config, *, dry_run: bool) -> ExpireResult:
    """Remove what no rule keeps; raises SiteLocked and the repository's errors."""
    restic.require(restic.version())
    state = State(settings.site.state)
    state.prepare()
    catalog = open_catalog(settings)
    with state.site_lock("expire", settings.site.lock_wait):
        decisions = retention.plan(catalog.points(locked=True, strict=True), settings.retention, utc_now())
        doomed = [decision.point for decision in decisions if not decision.keep]
        if not dry_run:
            remove(catalog, doomed)
            catalog.repository.prune()
        # After the points: what is cut off between leaves blobs that nobody needs, no point without blobs.
        vault = expire_vault.expire(settings, state, {point.id for point in doomed}, dry_run=dry_run)
    return ExpireResult(
        decisions=tuple(map(_line, decisions)),
        kept=len(decisions) - len(doomed),
        removed=len(doomed),
        dry_run=dry_run,
        vault=vault,
    )


def remove(catalog: Catalog, points: Sequence[Point]) -> None:
    """Forget points, every seal first: a run that is cut off leaves incomplete points, none that lie."""
    if not points:
        return
    # An older seal of the same point would count again as soon as the newer one is gone.
    for snapshot in (s for point in points for s in point.superseded):
        catalog.repository.forget([snapshot])
    seals = [point.manifest_snapshot for point in points if point.manifest_snapshot]
    gone = {s for point in points for s in (point.manifest_snapshot, *point.superseded)}
    rest = [s for point in points for s in point.snapshots if s not in gone]
    drills = catalog.drill_snapshots(point.id for point in points)
    catalog.repository.forget(seals)
    catalog.repository.forget([*rest, *drills])


def _line(decision: Decision) -> ExpireLine:
    return ExpireLine(decision.point.id, decision.keep, decision.reasons)
