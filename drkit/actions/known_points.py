"""Points that were seen in a repository, and are missed when they are there no more.

A repository that somebody has replaced by an older copy or an empty one, or from which somebody has forgotten
snapshots, is sound as it is: only who has seen more in it can tell. What was seen stands in the state
directory; without that nothing is missed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from drkit.errors import Failure, UsageError
from drkit.files import make_directory, replace_file
from drkit.model import Problem, ProblemKind
from drkit.points.catalog import Catalog
from drkit.points.listing import Listing
from drkit.tools.tally import first_few

log = logging.getLogger(__name__)

# The fewest digits of an id that are taken from a user.
_SHORTEST = 8
_SHOWN = 3


@dataclass(frozen=True)
class Known:
    """What was seen in a repository: restic's id of it, and the ids of the sealed points."""

    repository: str
    points: frozenset[str]


@dataclass(frozen=True)
class Missed:
    """What is not as it was seen in the repository `name`; `known` was its restic id, `found` is it now."""

    name: str
    points: tuple[str, ...]
    known: str
    found: str

    @property
    def problems(self) -> tuple[Problem, ...]:
        """For `status`; there is at least one."""
        problems = []
        if self.found != self.known:
            said = (
                f"the repository {self.name} is another one than before:"
                f" restic's id of it is {self.found[:16]}, and was {self.known[:16]}"
            )
            problems.append(Problem(ProblemKind.OTHER_REPOSITORY, said, self._hint, subject=self.name))
        if self.points:
            said = (
                f"sealed recovery points are gone from the repository {self.name} ({len(self.points)}),"
                f" and no `drkit expire` has removed them: {first_few(self.points)}"
            )
            problems.append(Problem(ProblemKind.POINTS_MISSING, said, self._hint, subject=self.name))
        return tuple(problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The same in sentences."""
        return tuple(f"{problem.message}: {problem.hint}" for problem in self.problems)

    @property
    def _hint(self) -> str:
        """One way for all of them: a single point by its id, else the repository that they were in."""
        one = len(self.points) == 1 and self.found == self.known
        wanted = self.points[0] if one else self.known[:16]
        return (
            "see whether an older copy or another repository is in its place, and bring the right one back;"
            " if what is missing is gone for good, run"
            f" `drkit points --repository {self.name} --forget {wanted}`"
        )


def compare(name: str, known: Known, listing: Listing, found: str) -> Missed | None:
    """What is missed in the repository whose id is `found`; None where everything is there: pure.

    A point whose seal is broken is told of as that.
    """
    gone = missing(known, listing)
    if gone or (known.points and found != known.repository):
        return Missed(name, gone, known.repository, found)
    return None


def missing(known: Known, listing: Listing) -> tuple[str, ...]:
    """The points that were seen, are not listed, and that no host's `expire` has removed: pure."""
    doubtful = {point.id for point in listing.points if point.doubt}
    return tuple(sorted(known.points - listing.sealed - doubtful - listing.expired))


def seen(before: frozenset[str], listing: Listing, new: str = "") -> frozenset[str]:
    """What is known of points after a listing, and after a `new` one was sealed: pure."""
    return (before - listing.expired) | listing.sealed | (frozenset({new}) if new else frozenset())


def forgotten(known: Known, missed: Missed, wanted: Sequence[str]) -> Known:
    """What is known once these are missed no more: points, or the repository for all of them; pure.

    Raises UsageError for what is none of them. When nothing is missed any more, the repository that is there
    is the known one.
    """
    gone: set[str] = set()
    for each in wanted:
        points = [point for point in missed.points if point.startswith(each)]
        if len(each) >= _SHORTEST and missed.known.startswith(each):
            gone.update(missed.points)
        elif len(each) >= _SHORTEST and len(points) == 1:
            gone.update(points)
        else:
            some = ", ".join(missed.points[:_SHOWN]) or "none"
            raise UsageError(
                f'"{each}" names no single point that is missing from {missed.name},'
                " and not the repository that it was in",
                hint=f"the repository was {missed.known[:16]}; missing: {some}",
            )
    left = set(missed.points) - gone
    return Known(known.repository if left else missed.found, known.points - gone)


def look(catalog: Catalog, listing: Listing, found: str = "") -> Missed | None:
    """What is missed in a repository, by what was seen there.

    `found` is the repository's id, where it is known already: it is only asked for where points are gone.
    """
    known = _read(catalog)
    if known is None or not (found or missing(known, listing)):
        return None
    return compare(catalog.name, known, listing, found or catalog.repository.id)


def learn(catalog: Catalog, listing: Listing, *, new: str = "", without: Collection[str] = ()) -> None:
    """Remember what is listed, and the `new` point; of what is about to be removed `without` that.

    Points that are missed stay known. What cannot be written is logged: the work itself is done.
    """
    known = _read(catalog)
    before = known.points if known else frozenset()
    after = seen(before, listing, new) - set(without)
    if after == before:
        return
    try:
        # Asked for once: afterwards only where points are gone.
        repository = known.repository if known and before else catalog.repository.id
        _write(catalog, Known(repository, after))
    except (OSError, Failure) as error:
        log.warning("cannot record which points are in %s: %s", catalog.name, error)


def forget(catalog: Catalog, listing: Listing, wanted: Sequence[str]) -> None:
    """Miss these no more; raises UsageError where nothing that is missing is called so, and OSError."""
    known = _read(catalog)
    missed = compare(catalog.name, known, listing, catalog.repository.id) if known else None
    if known is None or missed is None:
        raise UsageError(f"no point is missing from {catalog.name}", hint="see `drkit points`")
    _write(catalog, forgotten(known, missed, wanted))


def _path(catalog: Catalog) -> Path:
    return catalog.state.known / f"{catalog.name}.json"


def _read(catalog: Catalog) -> Known | None:
    """What was seen of this site, by its name; None where nothing is known."""
    path = _path(catalog)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["site"] != catalog.site:
            return None
        return Known(str(content["repository"]), frozenset(map(str, content["points"])))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read, so no point is missed: %s", path, error)
        return None


def _write(catalog: Catalog, known: Known) -> None:
    path = _path(catalog)
    make_directory(path.parent, 0o700, exist_ok=True)
    content = {"site": catalog.site, "repository": known.repository, "points": sorted(known.points)}
    replace_file(path, json.dumps(content, indent=1), mode=0o600)
