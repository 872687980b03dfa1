"""Looking at the further repositories, side by side."""

from __future__ import annotations

from drkit import config
from drkit.actions import known_points
from drkit.actions.status.of_copies import Further
from drkit.errors import Failure
from drkit.model import Problem, ProblemKind
from drkit.points.catalog import open_catalog
from drkit.tools.parallel import in_order

_AT_ONCE = 8


def look(settings: config.Config) -> tuple[Further, ...]:
    """What each of them has; one that cannot be listed is a problem, and stops no other."""
    return tuple(in_order(settings.repositories[1:], lambda each: _one(settings, each), _AT_ONCE))


def _one(settings: config.Config, repository: config.Repository) -> Further:
    try:
        catalog = open_catalog(settings, repository.name).impatient()
        listing = catalog.look()
        missed = known_points.look(catalog, listing)
    except Failure as error:
        said = f"the repository {repository.name} cannot be read: {error.message}"
        problem = Problem(ProblemKind.REPOSITORY, said, error.hint, subject=repository.name)
        return Further(repository.name, repository.rpo, None, (problem,))
    return Further(repository.name, repository.rpo, listing.points, missed.problems if missed else ())
