"""A period's drills, as an auditor asks for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drkit.actions.drills import period
from drkit.actions.drills.summary import Held, Known, PeriodReport, Signature, summarize
from drkit.config import Objectives
from drkit.model import CheckKind, CheckResult, ControlResult, DrillReport, Outcome, Part, Point
from tests.samples import drill_note, drill_report, sealed

Q4 = period.parse("2026Q4")
MID = datetime(2026, 11, 15, tzinfo=UTC)
AFTER = datetime(2027, 1, 10, tzinfo=UTC)
UNSIGNED = Signature(None, "not signed")


def held(report: DrillReport, repository: str = "primary", signature: Signature = UNSIGNED) -> Held:
    return Held(repository, report, signature)


def known(reports: list[DrillReport], *points: Point, repository: str = "primary") -> Known:
    notes = tuple(
        replace(
            drill_note(report.point, report.finished_at, outcome=report.outcome, level=report.level),
            id=report.id,
        )
        for report in reports
    )
    return Known(repository, points, notes)


def summary(reports: list[DrillReport], *points: Point, now: datetime = AFTER) -> PeriodReport:
    goals = Objectives.model_validate({"rto": "1h"})
    return summarize("site", Q4, [held(r) for r in reports], [known(reports, *points)], goals, now)


def test_a_full_drill_that_passed_is_what_is_owed() -> None:
    found = summary([drill_report("d", MID)])
    assert found.good
    assert found.verdict == "Everything came back from backup once in 2026Q4, within the objectives."
    assert summary([drill_report("d", MID)], now=MID).verdict.count("so far") == 1


def test_nothing_or_a_quick_one_alone_is_not() -> None:
    for reports in ([], [drill_report("d", MID, level="quick")]):
        found = summary(reports)
        assert not found.good
        assert found.verdict == "No full recovery drill has passed in 2026Q4."


def test_a_missed_objective_is_not_good() -> None:
    found = summary([drill_report("d", MID, rto_met=False)])
    assert not found.good
    assert "drill d missed an objective" in found.verdict
    (count,) = found.objectives
    assert (count.name, count.met, count.missed, count.worst_seconds) == ("rto", 0, 1, 90.0)
    assert found.drills[0].wrong == ("objective missed: rto",)


def test_a_failure_is_followed_by_one_that_shows_as_much() -> None:
    failed = drill_report("failed", MID, outcome=Outcome.FAILED)
    quick = drill_report("quick", MID + timedelta(days=1), level="quick")
    full = drill_report("full", MID + timedelta(days=2))
    before = drill_report("before", MID - timedelta(days=2))
    found = summary([before, failed, quick])
    assert not found.good
    assert found.verdict.startswith("Drill failed did not pass")
    assert [drill.followed for drill in found.drills] == [None, None, None]
    found = summary([before, failed, quick, full])
    assert found.good
    assert [drill.followed for drill in found.drills] == [None, "full", None, None]


def test_what_followed_may_lie_after_the_period() -> None:
    failed = drill_report("failed", MID, outcome=Outcome.FAILED)
    good = drill_report("good", MID - timedelta(days=1))
    later = drill_report("later", datetime(2027, 1, 3, tzinfo=UTC))
    found = summarize(
        "site", Q4, [held(good), held(failed)], [known([good, failed, later])], Objectives(), AFTER
    )
    assert found.good
    assert found.drills[1].followed == "later"


def test_an_altered_report_comes_before_everything() -> None:
    report = drill_report("d", MID)
    altered = held(report, signature=Signature(False, "it was altered"))
    found = summarize("site", Q4, [altered], [known([report])], Objectives(), AFTER)
    assert not found.good
    assert found.verdict == "The report of drill d is not as it was signed."


def test_points_of_the_period_that_no_drill_has_tried() -> None:
    report = replace(drill_report("d", MID), point="one")
    points = [sealed(name, MID - timedelta(hours=n)) for n, name in enumerate(("three", "two", "one"))]
    before = sealed("old", datetime(2026, 9, 30, tzinfo=UTC))
    found = summary([report], *points, before)
    assert (found.points, found.undrilled_count, found.undrilled) == (3, 2, ("two", "three"))


def test_how_long_ago_bytes_were_proved_and_what_came_since() -> None:
    report = replace(drill_report("d", MID), point="one")
    one, two = sealed("one", MID - timedelta(days=1)), sealed("two", MID + timedelta(days=1))
    assert two.manifest is not None
    part = Part("blobs", "blobs", "s", "/", 1000, 70, 1.0)
    two = replace(two, manifest=replace(two.manifest, parts=(part,)))
    (proof,) = summary([report], two, one).proofs
    assert (proof.drill, proof.point, proof.at) == ("d", "one", MID)
    assert (proof.newer_points, proof.unread_bytes) == (1, 70)


def test_where_nothing_was_proved_everything_is_unread() -> None:
    (proof,) = summary([drill_report("d", MID, level="quick")], sealed("one", MID)).proofs
    assert (proof.drill, proof.at, proof.newer_points) == (None, None, 1)


def test_evidence_counts_what_was_tried_and_what_held() -> None:
    good = CheckResult(CheckKind.TABLES, Outcome.PASSED, "", 1.0, "registry")
    bad = CheckResult(CheckKind.SCHEMA, Outcome.FAILED, "", 1.0, "registry")
    nothing = CheckResult(CheckKind.RELATION, Outcome.NOT_PROVABLE, "", 1.0, "x")
    caught = ControlResult("a flipped byte", True, "", 1.0)
    missed = ControlResult("a dropped row", False, "", 1.0)
    report = drill_report(
        "d", MID, checks=(good, bad, nothing), controls=(caught, missed), outcome=Outcome.FAILED
    )
    lines = {line.subject: line for line in summary([report]).evidence}
    assert (lines["the database"].tried, lines["the database"].held) == (2, 1)
    assert (lines["planted faults"].tried, lines["planted faults"].held) == (2, 1)
    assert (lines["the recovery, with its time"].tried, lines["the recovery, with its time"].held) == (1, 1)
    assert (lines["the images"].tried, lines["the images"].held) == (0, 0)
    assert summary([report]).drills[0].wrong == (bad.name, "control not caught: a dropped row")


def test_what_another_repository_shows_proves_nothing_of_this_one() -> None:
    good = drill_report("good", MID - timedelta(days=1))
    failed = drill_report("failed", MID, outcome=Outcome.FAILED)
    later = drill_report("later", MID + timedelta(days=1))
    found = summarize(
        "site",
        Q4,
        [held(good), held(failed, "offsite"), held(later)],
        [known([good, later]), known([failed], repository="offsite")],
        Objectives(),
        AFTER,
    )
    assert not found.good
    assert found.drills[1].followed is None


def test_what_is_dated_in_the_future_counts_for_nothing() -> None:
    failed = drill_report("failed", MID, outcome=Outcome.FAILED)
    ahead = drill_report("ahead", MID + timedelta(days=9))
    found = summary([failed, ahead], now=MID + timedelta(days=1))
    assert found.verdict == "No full recovery drill has passed in 2026Q4 so far."
    assert [drill.followed for drill in found.drills] == [None, None]
    assert "dated in the future" in found.drills[1].wrong[0]


def test_what_nobody_could_look_at_is_not_good() -> None:
    report = drill_report("d", MID)
    found = summarize("site", Q4, [held(report)], [known([report])], Objectives(), AFTER, ["it is unread"])
    assert (found.good, found.verdict) == (False, "Not everything could be looked at: it is unread.")


def test_where_reports_are_signed_it_is_said_which_may_be_anybodys() -> None:
    reports = [drill_report(f"d{number}", MID + timedelta(days=number)) for number in range(3)]
    signatures = [Signature(True, "verified", "a"), Signature(None, "by another key", "b"), UNSIGNED]
    every = [held(r, signature=s) for r, s in zip(reports, signatures, strict=True)]
    found = summarize("site", Q4, every, [known(reports)], Objectives(), AFTER)
    assert found.verdict.endswith(
        "within the objectives. Of 3 reports 2 cannot be verified: see below which."
    )
    assert "verified" not in summary(reports).verdict
