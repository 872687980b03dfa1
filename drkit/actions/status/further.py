"""Looking at the further repositories, side by side."""

from __future__ import annotations

from drkit import config
from drkit.actions import hosts, known_points
from drkit.actions.status import of_drills, of_ledger
from drkit.actions.status.of_copies import Further
from drkit.errors import Failure
from drkit.model import Problem, ProblemKind, utc_now
from drkit.points.catalog import open_catalog
from drkit.points.ownership import Ownership
from drkit.tools.parallel import in_order

_AT_ONCE = 8


def look(settings: config.Config, mine: Ownership) -> tuple[Further, ...]:
    """What each of them has; one that cannot be listed is a problem, and stops no other."""
    return tuple(in_order(settings.repositories[1:], lambda each: _one(settings, each, mine), _AT_ONCE))


def _one(settings: config.Config, repository: config.Repository, mine: Ownership) -> Further:
    try:
        catalog = open_catalog(settings, repository.name).impatient()
        listing = catalog.look()
        missed = known_points.look(catalog, listing)
    except Failure as error:
        said = f"the repository {repository.name} cannot be read: {error.message}"
        problem = Problem(ProblemKind.REPOSITORY, said, error.hint, subject=repository.name)
        return Further(repository.name, repository.rpo, None, (problem,))
    noticed = (
        *(missed.problems if missed else ()),
        *hosts.problems(mine, listing.points, repository.name, utc_now()),
        *of_drills.unread(listing, repository.name, utc_now()),
    )
    target = settings.objectives.reread
    reread, doubts = of_ledger.look(catalog, listing, target)
    return Further(repository.name, repository.rpo, mine.counted(listing.points), (*noticed, *doubts), reread)
