"""Reports of drills in a repository: which the next one names, and which need not be kept; pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from drkit.points import seals
from drkit.points.listing import Listing
from drkit.tools.restic.output import Snapshot

if TYPE_CHECKING:
    from drkit.reports.attestation import Previous


def unnamed(snapshots: Iterable[Snapshot]) -> tuple[Previous, ...]:
    """The signed reports of a site that no other names, of its snapshots: the next one names them.

    By what they name and not by time: a clock that was set back must not leave one out.
    """
    # Here, for retention needs to know nothing of statements.
    from drkit.reports.attestation import Previous

    found: dict[str, str] = {}
    named: set[str] = set()
    for snapshot in snapshots:
        drill, digest = seals.value(snapshot, seals.DRILL), seals.value(snapshot, seals.STATEMENT)
        if drill and digest:
            found[digest] = drill
            named.update(seals.values(snapshot, seals.AFTER))
    return tuple(Previous(drill, digest) for digest, drill in found.items() if digest not in named)


def statements(snapshots: Iterable[Snapshot]) -> dict[str, Snapshot]:
    """The snapshots of signed reports by the hashes of their statements, the oldest first."""
    found = ((seals.value(snapshot, seals.STATEMENT), snapshot) for snapshot in snapshots)
    return {digest: snapshot for digest, snapshot in found if digest}


def outlived(listing: Listing, gone: Iterable[str], keep: timedelta, now: datetime) -> tuple[str, ...]:
    """The snapshots of reports that are older than `keep`, and whose point has gone or is about to.

    The oldest first, up to the first that stays: of a chain nothing is taken out of the middle.
    """
    staying = {point.id for point in listing.points} - set(gone)
    found = []
    for snapshot in listing.reports.values():
        if now - snapshot.time <= keep or seals.value(snapshot, seals.POINT) in staying:
            break
        found.append(snapshot.id)
    return tuple(found)
