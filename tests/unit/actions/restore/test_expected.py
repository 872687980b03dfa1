"""The time to expect, by drills of the same point or another one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drkit.actions.restore.expected import Wanted, expect
from drkit.model import Outcome, Part, Point, Stage
from tests.samples import drill_note, sealed

NOW = datetime(2026, 11, 28, 2, tzinfo=UTC)
STAGES = (
    Stage("fetch dump of registry", 1, 10),
    Stage("load registry", 11, 50),
    Stage("restore blobs", 1, 100),
    Stage("open secrets", 0, 1),
)


def point(name: str, days: int, size: int = 1000, *, outcome: Outcome = Outcome.PASSED) -> Point:
    """A point of so many bytes a part with a drill that took what `STAGES` say."""
    made = sealed(
        name, NOW, replace(drill_note(name, NOW + timedelta(days=days), outcome=outcome), stages=STAGES)
    )
    assert made.manifest is not None
    kinds = (("database", "registry"), ("blobs", "blobs"), ("secrets", "secrets"))
    parts = tuple(Part(kind, of, "s", "/p", size, 0, 0.0) for kind, of in kinds)  # type: ignore[arg-type]
    return replace(made, manifest=replace(made.manifest, parts=parts))


def seconds(wanted: list[Wanted], *points: Point, of: str = "b") -> float | None:
    found = expect(wanted, points, of)
    return found.seconds if found else None


DATABASE, BLOBS = Wanted("database", "registry", 1000), Wanted("blobs", "blobs", 1000)


def test_parts_come_back_side_by_side() -> None:
    assert seconds([DATABASE, BLOBS], point("b", 1)) == 100
    assert seconds([DATABASE], point("b", 1)) == 60


def test_in_proportion_to_what_is_there() -> None:
    assert seconds([replace(BLOBS, bytes=3000)], point("a", 1, 1000)) == 300


def test_the_points_own_drill_counts_before_a_later_one() -> None:
    own, other = point("b", 1), point("a", 2, 100)
    found = expect([BLOBS], [own, other], "b")
    assert found is not None
    assert (found.point, found.seconds) == ("b", 100)
    assert expect([BLOBS], [other], "b") != found


def test_what_has_not_passed_or_says_nothing_is_no_measure() -> None:
    assert seconds([BLOBS], point("b", 1, outcome=Outcome.FAILED)) is None
    assert seconds([Wanted("database", "another", 5)], point("b", 1)) is None
    assert seconds([BLOBS]) is None
