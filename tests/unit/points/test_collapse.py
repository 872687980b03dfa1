"""Which numbers have collapsed, how long that is missed, and what a confirmation holds for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drkit.model import (
    Closure,
    Collapse,
    DatabaseEvidence,
    DatabaseShape,
    Loss,
    Point,
    PointManifest,
    PointStatus,
    TableEvidence,
)
from drkit.points.collapse import Earlier, counts, earlier, losses, of_point, unconfirmed, without_images
from tests.samples import manifest

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
SHAPE = DatabaseShape("registry", "postgres", "UTF8", "libc", "C", "C")
BLOBS = "image blobs"
ARTIFACTS = "artifacts in database registry"


def database(name: str = "registry", **tables: int) -> DatabaseEvidence:
    rows = tuple(TableEvidence("public", table, count, None) for table, count in tables.items())
    return DatabaseEvidence(name, SHAPE, 150_012, {}, rows)


def closure(present: int, unreferenced: int = 0) -> Closure:
    return Closure(present, present, 0, 0, unreferenced)


def history(*found: dict[str, int], confirmed: Sequence[str] = ()) -> tuple[Point, ...]:
    """Points p0, p1, ... a day apart, as backups would have made them; newest first.

    Of each its blobs and artifacts are given; what is confirmed, is so before the next backup.
    """
    points: tuple[Point, ...] = ()
    for number, has in enumerate(found):
        at = NOW - timedelta(days=len(found) - number)
        databases = (database(artifact=has["artifacts"]),) if "artifacts" in has else ()
        images = closure(has["blobs"]) if "blobs" in has else None
        lost = losses(earlier(points, confirmed, at), counts(databases, images))
        made = replace(manifest(f"p{number}", at), databases=databases, closure=images, losses=lost)
        points = (point(made), *points)
    return points


def point(made: PointManifest) -> Point:
    return Point(made.id, PointStatus.SEALED, made.consistent_at, (), made)


def told(points: Sequence[Point], *confirmed: str) -> list[tuple[str, str, int, int, str]]:
    found = unconfirmed(points, confirmed, NOW)
    return [
        (each.point, loss.subject, loss.before, loss.now, loss.since)
        for each in found
        for loss in each.losses
    ]


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        (17, 0, True),
        (1, 0, True),
        (0, 0, False),
        (0, 5, False),
        (5, 1, False),
        (19, 1, False),
        (20, 9, True),
        (20, 10, False),
        (5_000_000, 2_499_999, True),
        (5_000_000, 2_500_000, False),
        (100, 250, False),
    ],
)
def test_what_is_a_collapse(before: int, now: int, lost: bool) -> None:
    was = {BLOBS: Earlier(before, "p0", NOW)}
    assert losses(was, {BLOBS: now}) == ((Loss(BLOBS, before, now, "p0", NOW),) if lost else ())
    assert losses(was, {}) == (), "what is not captured is not lost"


def test_the_numbers_of_a_point() -> None:
    harbor = database(artifact=17, tag=20, repository=5, project=2, harbor_user=9, audit_log=10_000, task=50)
    assert counts([harbor, database("notary", keys=3, logs=4)], closure(67, unreferenced=400)) == {
        ARTIFACTS: 17,
        "tags in database registry": 20,
        "repositories in database registry": 5,
        "projects in database registry": 2,
        "users in database registry": 9,
        "artifacts in database notary": 0,
        "tags in database notary": 0,
        "repositories in database notary": 0,
        "projects in database notary": 0,
        "users in database notary": 0,
        "rows in database notary": 7,
        BLOBS: 67,
    }
    assert counts([], None) == {}


def test_another_database_in_the_place_of_harbor_s() -> None:
    """It has none of Harbor's tables, and any number of rows."""
    was = earlier([point(replace(manifest("p0", NOW), databases=(database(artifact=17),)))], (), NOW)
    found = losses(was, counts([database(words=5000)], None))
    assert [(loss.subject, loss.before, loss.now) for loss in found] == [(ARTIFACTS, 17, 0)]


def test_a_collapse_is_missed_in_every_later_point() -> None:
    points = history({"blobs": 67}, {"blobs": 0}, {"blobs": 0}, {"blobs": 4})
    assert told(points) == [("p3", BLOBS, 67, 4, "p0")]
    assert told(points[1:]) == [("p2", BLOBS, 67, 0, "p0")]


def test_it_is_made_good_by_half_of_it() -> None:
    points = history({"blobs": 67}, {"blobs": 0}, {"blobs": 34})
    assert told(points) == []
    assert of_point("p1", points, ()) is not None, "what that point is worth has not changed"


def test_a_slow_decline_is_none() -> None:
    assert told(history(*({"blobs": 1000 - 100 * number} for number in range(10)), {"blobs": 50})) == []


def test_a_source_that_the_next_point_has_not() -> None:
    points = history({"blobs": 67, "artifacts": 17}, {"blobs": 0, "artifacts": 0}, {"blobs": 0})
    assert told(points) == [("p2", BLOBS, 67, 0, "p0"), ("p1", ARTIFACTS, 17, 0, "p0")]
    assert told(history({"blobs": 67, "artifacts": 17}, {"blobs": 67})) == []
    assert told(history({"artifacts": 17}, {"blobs": 67}, {"artifacts": 0})) == [
        ("p2", ARTIFACTS, 17, 0, "p0")
    ]


def test_a_confirmation() -> None:
    points = history({"blobs": 1000}, {"blobs": 400}, {"blobs": 380})
    assert told(points, "p2") == []
    assert told(points, "p1") == [], "no less was confirmed than is left"
    assert told(points, "p0") == [("p2", BLOBS, 1000, 380, "p0")]
    less = history({"blobs": 1000}, {"blobs": 400}, {"blobs": 0})
    assert told(less, "p1") == [("p2", BLOBS, 1000, 0, "p0")], "that is more than was confirmed"


def test_after_a_confirmation_the_next_point_is_compared_with_what_was_left() -> None:
    assert history({"blobs": 1000}, {"blobs": 400}, {"blobs": 390}, confirmed=["p1"])[0].manifest == replace(
        manifest("p2", NOW - timedelta(days=1)), closure=closure(390)
    )
    again = history({"blobs": 1000}, {"blobs": 400}, {"blobs": 0}, confirmed=["p1"])
    assert told(again, "p1") == [("p2", BLOBS, 400, 0, "p1")]


def test_what_a_wrong_clock_has_dated_counts_for_nothing() -> None:
    (whole,) = history({"blobs": 67})
    assert whole.manifest
    ahead = NOW + timedelta(days=400)
    future = replace(whole, taken_at=ahead, manifest=replace(whole.manifest, id="f", closure=closure(10_000)))
    assert earlier([future, whole], (), NOW)[BLOBS].count == 67


def test_a_drill_without_images_and_one_with_some() -> None:
    lost = of_point("p1", history({"blobs": 67}, {"blobs": 0}), ())
    assert lost
    assert without_images(lost) == lost
    assert without_images(of_point("p1", history({"blobs": 67}, {"blobs": 3}), ())) is None
    assert without_images(of_point("p1", history({"blobs": 67}, {"blobs": 0}), ("p1",))) is None
    assert without_images(of_point("p1", history({"artifacts": 67}, {"artifacts": 0}), ())) is None


def test_what_is_said() -> None:
    lost = tuple(Loss(f"s{number}", 12_345, 1, "p0", NOW) for number in range(5))
    assert Collapse("p1", lost).said == (
        "production has lost most of what it had: s0: 12,345 in point p0, 1 in point p1;"
        " s1: 12,345 in point p0, 1 in point p1; s2: 12,345 in point p0, 1 in point p1; and 2 more"
    )
    assert Collapse("p1", lost).hint.endswith("if it is intended, run `drkit points --confirm p1`")
