"""Reports of drills in a repository: which is the last that was signed, and which need not be kept; pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from drkit.points import seals
from drkit.points.listing import Listing
from drkit.reports.attestation import Previous
from drkit.tools.restic.output import Snapshot


def last_signed(snapshots: Iterable[Snapshot]) -> Previous | None:
    """The report that the next one names, of a site's snapshots, the oldest first."""
    found = None
    for snapshot in snapshots:
        drill, digest = seals.value(snapshot, seals.DRILL), seals.value(snapshot, seals.STATEMENT)
        if drill and digest:
            found = Previous(drill, digest)
    return found


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
