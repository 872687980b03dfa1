"""What `status` tells of secrets, from manifests alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from drkit.actions.secret_warnings import of_points
from drkit.model import CertificateFacts, DrillNote, Level, Manifest, Outcome, Point, PointStatus
from tests.unit.sources.test_changes import BEFORE, NOW, OTHER, PLACE, listed

MONTH = timedelta(days=30)
CHANGED = {**BEFORE, PLACE: b"a-new-secret-key"}


def point(name: str, manifest: Manifest, *drills: DrillNote) -> Point:
    return Point(name, PointStatus.SEALED, NOW, (), manifest=replace(manifest, id=name), drills=drills)


def passed(level: Level = "full", outcome: Outcome = Outcome.PASSED) -> DrillNote:
    return DrillNote("d", "p", level, outcome, NOW, 1.0)


def told(*points: Point) -> list[str]:
    return list(of_points(points, NOW, MONTH))


OLD, NEW, NEWER = (
    point("a", listed(BEFORE), passed()),
    point("b", listed(CHANGED)),
    point("c", listed(CHANGED)),
)
PROBLEM = (
    f"the secret key {PLACE} is another one since point a: what Harbor encrypted before does not open "
    "with a new one"
)


def test_nothing_to_tell() -> None:
    assert told() == []
    assert told(OLD) == []
    assert told(point("b", listed(BEFORE)), OLD) == []


def test_a_new_secret_key_is_told_until_a_full_drill_has_passed_with_it() -> None:
    assert told(NEW, OLD) == [PROBLEM]
    assert told(NEWER, NEW, OLD) == [PROBLEM], "the next backup does not hush it up"
    drills: Sequence[DrillNote] = (passed("quick"), passed(outcome=Outcome.FAILED))
    assert told(NEWER, replace(NEW, drills=tuple(drills)), OLD) == [PROBLEM]
    assert told(NEWER, replace(NEW, drills=(passed(),)), OLD) == []
    assert told(replace(NEWER, drills=(passed(),)), NEW, OLD) == []


def test_without_any_drill_all_points_are_compared() -> None:
    assert told(NEWER, NEW, point("a", listed(BEFORE))) == [PROBLEM]


def test_points_of_two_machines_are_not_compared_by_content() -> None:
    assert told(point("b", listed(CHANGED, OTHER)), OLD) == []


def test_certificates_of_the_newest_point() -> None:
    def facts(days: float) -> CertificateFacts:
        end = NOW + timedelta(days=days)
        return CertificateFacts("/a.crt", "CN=registry", "CN=a CA", (), NOW - MONTH, end, authority=False)

    soon = replace(listed(BEFORE), certificates=(facts(29), facts(31), facts(-1)))
    assert told(point("b", soon), OLD) == [
        "the certificate /a.crt (CN=registry) expires on 2026-12-23",
        "the certificate /a.crt (CN=registry) expired on 2026-11-23",
    ]
    assert told(OLD, point("b", soon)) == [], "an older point's are history"
