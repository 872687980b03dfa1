"""What is missed in a repository, and what is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drkit.actions.known_points import Known, Missed, compare, forgotten, seen
from drkit.errors import UsageError
from drkit.model import PointStatus, ProblemKind
from drkit.points.listing import Listing
from tests.samples import incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
OLD, NEW, LAST = "20261122-020000-aaaaaa", "20261123-020000-bbbbbb", "20261124-020000-cccccc"
ID, OTHER = "5678ef00" * 8, "1234ab00" * 8
KNOWN = Known(ID, frozenset({OLD, NEW, LAST}))


def listing(*points: str, expired: tuple[str, ...] = ()) -> Listing:
    return Listing(tuple(sealed(point, NOW) for point in points), frozenset(expired))


def kinds(missed: Missed | None) -> list[ProblemKind]:
    assert missed is not None
    assert all(problem.red for problem in missed.problems)
    return [problem.kind for problem in missed.problems]


def test_nothing_is_missed_where_all_is_there_and_new_points_are_no_matter() -> None:
    assert compare("primary", KNOWN, listing(OLD, NEW, LAST, "20261125-020000-dddddd"), ID) is None


def test_a_point_that_is_gone_is_missed() -> None:
    missed = compare("primary", KNOWN, listing(OLD, NEW), ID)
    assert missed == Missed("primary", (LAST,), ID, ID)
    assert kinds(missed) == [ProblemKind.POINTS_MISSING]
    assert missed is not None
    (problem,) = missed.problems
    assert LAST in problem.message
    assert problem.hint.endswith(f"`drkit points --repository primary --forget {LAST}`")


def test_a_point_without_its_seal_is_missed_and_one_that_is_told_of_otherwise_is_not() -> None:
    bare = incomplete(LAST, NOW)
    broken = replace(bare, id=NEW, status=PointStatus.UNREADABLE, broken_seal="its manifest cannot be read")
    found = Listing((bare, broken, sealed(OLD, NOW)))
    assert compare("primary", KNOWN, found, ID) == Missed("primary", (LAST,), ID, ID)


def test_what_an_expire_of_any_host_has_recorded_is_not_missed() -> None:
    assert compare("primary", KNOWN, listing(NEW, LAST, expired=(OLD,)), ID) is None
    assert seen(KNOWN.points, listing(NEW, LAST, expired=(OLD,))) == {NEW, LAST}


def test_another_repository_is_told_of_even_where_it_has_every_point() -> None:
    assert kinds(compare("primary", KNOWN, listing(OLD, NEW, LAST), OTHER)) == [ProblemKind.OTHER_REPOSITORY]
    empty = compare("primary", KNOWN, listing(), OTHER)
    assert kinds(empty) == [ProblemKind.OTHER_REPOSITORY, ProblemKind.POINTS_MISSING]
    assert empty is not None
    assert {problem.hint.rpartition(" ")[2] for problem in empty.problems} == {f"{ID[:16]}`"}
    # Where nothing was ever sealed nothing is lost.
    assert compare("primary", Known(ID, frozenset()), listing(), OTHER) is None


def test_what_is_missed_stays_known_through_later_backups() -> None:
    assert seen(KNOWN.points, listing(OLD), "20261125-020000-dddddd") == {
        OLD,
        NEW,
        LAST,
        "20261125-020000-dddddd",
    }


def test_points_are_forgotten_by_name_or_all_of_a_repository_at_once() -> None:
    missed = Missed("primary", (NEW, LAST), ID, OTHER)
    assert forgotten(KNOWN, missed, [NEW]) == Known(ID, frozenset({OLD, LAST}))
    for wanted in ([NEW, LAST[:12]], [ID[:16]]):
        assert forgotten(KNOWN, missed, wanted) == Known(OTHER, frozenset({OLD}))


@pytest.mark.parametrize("wanted", ["", "2026112", OLD, "20261199-020000", OTHER[:16], "20261124"])
def test_what_is_not_missing_cannot_be_forgotten(wanted: str) -> None:
    missed = Missed("primary", (LAST, "20261124-020001-dddddd"), ID, ID)
    with pytest.raises(UsageError, match="names no single point that is missing"):
        forgotten(KNOWN, missed, [wanted])
