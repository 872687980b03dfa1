"""What a further repository must have for a site to be green."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drkit.actions.status import of_copies
from drkit.actions.status.of_copies import Further
from drkit.model import Outcome, Point, PointStatus, Problem, ProblemKind
from tests.samples import drill_note, incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
RPO = timedelta(hours=48)


def found(*points: Point, rpo: timedelta | None = RPO) -> list[tuple[ProblemKind, bool]]:
    problems = of_copies.problems(Further("offsite", rpo, points), NOW)
    return [(problem.kind, problem.red) for problem in problems]


def test_a_young_copy_is_what_it_must_be() -> None:
    point = sealed("p", NOW - 47 * HOUR)
    assert found(point) == []
    judged = of_copies.judged(Further("offsite", RPO, (point,)), NOW)
    assert (judged.points, judged.newest_point, judged.last_drill) == (1, "p", None)
    assert judged.rpo is not None
    assert (judged.rpo.met, judged.rpo.actual_seconds) == (True, 47 * 3600)


def test_an_old_one_is_red_where_there_is_an_objective() -> None:
    old = sealed("p", NOW - 49 * HOUR)
    assert found(old) == [(ProblemKind.NOT_COPIED, True)]
    assert found(old, rpo=None) == []


def test_that_nothing_was_copied_is_never_passed_over() -> None:
    assert found() == [(ProblemKind.NOT_COPIED, True)]
    assert found(rpo=None) == [(ProblemKind.NOT_COPIED, False)]
    assert found(incomplete("p", NOW)) == [
        (ProblemKind.NOT_COPIED, True),
        (ProblemKind.INCOMPLETE_POINTS, False),
    ]


def test_what_is_dated_in_the_future_does_not_count() -> None:
    assert found(sealed("p", NOW + 5 * HOUR)) == [(ProblemKind.NOT_COPIED, True)]


def test_a_copy_that_is_not_whole_is_red_beside_one_that_is() -> None:
    broken = replace(
        sealed("q", NOW - 2 * HOUR),
        status=PointStatus.INCOMPLETE,
        manifest=None,
        broken_seal="a part is gone",
    )
    assert found(sealed("p", NOW - HOUR), broken) == [(ProblemKind.BROKEN_SEAL, True)]


def test_its_own_drills_count() -> None:
    failed = drill_note("p", NOW - HOUR, outcome=Outcome.FAILED)
    point = sealed("p", NOW - 2 * HOUR, failed)
    assert found(point) == [(ProblemKind.DRILL, True)]
    again = replace(drill_note("p", NOW - HOUR / 2), id="later")
    proven = replace(point, drills=(failed, again))
    assert found(proven) == []
    assert of_copies.judged(Further("offsite", RPO, (proven,)), NOW).last_passed_drill == again


def test_one_that_cannot_be_read_is_told_as_that_alone() -> None:
    problem = Problem(ProblemKind.REPOSITORY, "the repository offsite cannot be read")
    further = Further("offsite", RPO, None, (problem,))
    assert list(of_copies.problems(further, NOW)) == [problem]
    judged = of_copies.judged(further, NOW)
    assert judged.points is None
    assert judged.rpo is not None
    assert not judged.rpo.met
