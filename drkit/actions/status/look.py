"""A look at everything that the status of a site is made of: repositories, the vault, this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from drkit import config
from drkit.actions import collapsed, hosts, known_points, room
from drkit.actions.status import further, of_drills, of_ledger, of_vault
from drkit.actions.status.judge import judge
from drkit.errors import Failure
from drkit.model import Attempt, Point, Problem, ProblemKind, Status, utc_now
from drkit.model.reread import Reread
from drkit.points.catalog import open_catalog
from drkit.points.listing import Listing
from drkit.state import attempts, history
from drkit.state.directory import State
from drkit.tools.parallel import side_by_side

_YEAR = timedelta(days=366)


@dataclass(frozen=True)
class Look:
    """What was seen; `error` is why the primary repository could not be listed, and then `points` is empty.

    `points` are this machine's in the primary repository, newest first; `history` is how runs of the last
    year ended on this machine.
    """

    status: Status
    points: tuple[Point, ...]
    history: tuple[Attempt, ...]
    error: Failure | None = None


def look(settings: config.Config, known: Sequence[Attempt] | None = None) -> Look:
    """Look at a site, whatever of it is out of reach; `known` are the attempts, if they were read already."""
    state = State(settings.site.state)
    listing, error = Listing(()), None
    mine = hosts.ownership(settings)
    of_primary: tuple[Problem, ...] = ()
    reread: tuple[Reread, ...] = ()
    with side_by_side() as tasks:
        others = tasks.begin("others", lambda: further.look(settings, mine))
        try:
            catalog = open_catalog(settings).impatient()
            listing = catalog.look()
            missed = known_points.look(catalog, listing)
            seen = hosts.problems(mine, listing.points, catalog.name, utc_now())
            unread = of_drills.unread(listing, catalog.name, utc_now())
            reread, doubts = of_ledger.look(catalog, listing, settings.objectives.reread)
            of_primary = (*(missed.problems if missed else ()), *seen, *unread, *doubts)
            listing = replace(listing, points=mine.counted(listing.points))
        except Failure as failure:
            error = failure
            said, hint, name = failure.message, failure.hint, settings.primary.name
            of_primary = (Problem(ProblemKind.REPOSITORY, said, hint, subject=name, cause=failure.kind),)
    if known is None:
        known = attempts.read(state.attempts)
    full = [Problem(ProblemKind.FULL_DISK, said, room.HINT) for said in room.full(settings)]
    of_vaults = of_vault.look(settings)
    now = utc_now()
    here = [*full, *of_primary, *of_vaults, *collapsed.problems(listing, now)]
    found = judge(settings, None if error else listing.points, now, known, here, others(), reread)
    return Look(found, listing.points, history.read(state.attempts, now - _YEAR), error)
