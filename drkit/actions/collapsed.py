"""What production has lost most of: reported until it is back, or somebody confirms that it is intended."""

from __future__ import annotations

from datetime import datetime

from drkit.errors import UsageError
from drkit.model import Problem, ProblemKind, utc_now
from drkit.points import collapse
from drkit.points.catalog import Catalog
from drkit.points.choice import pick
from drkit.points.listing import Listing


def problems(listing: Listing, now: datetime) -> tuple[Problem, ...]:
    """For `status`: pure."""
    found = collapse.unconfirmed(listing.points, listing.confirmed, now)
    return tuple(Problem(ProblemKind.COLLAPSE, each.said, each.hint, subject=each.point) for each in found)


def warnings(listing: Listing) -> tuple[str, ...]:
    """The same in sentences."""
    found = collapse.unconfirmed(listing.points, listing.confirmed, utc_now())
    return tuple(each.warning for each in found)


def confirm(catalog: Catalog, listing: Listing, wanted: str) -> None:
    """Write in the repository, so that every host knows, that what a point has lost is meant.

    Raises NoSuchPoint, UsageError where there is nothing to confirm, and the repository's errors.
    """
    point, _ = pick(wanted, listing.points)
    if collapse.of_point(point.id, listing.points, listing.confirmed) is None:
        open_ones = collapse.unconfirmed(listing.points, listing.confirmed, utc_now())
        others = ", ".join(each.point for each in open_ones)
        raise UsageError(
            f"there is nothing to confirm of point {point.id}",
            hint=f"losses that nobody has confirmed are in {others}" if others else "see `drkit status`",
        )
    catalog.record_confirmed(point.id)
