"""What is kept and why, and what no rule may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.config import Retention
from drkit.model import Collapse, Loss, Outcome, Point
from drkit.points.retention import BEFORE_COLLAPSE, NEWEST_PROVEN_BEFORE, Decision, plan
from tests.samples import drill_note, incomplete, proven, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
RULES = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")


def kept(points: Sequence[Point], rules: Retention, now: datetime = NOW) -> set[str]:
    return {decision.point.id for decision in plan(points, rules, now) if decision.keep}


def reasons(decisions: Sequence[Decision]) -> dict[str, tuple[str, ...]]:
    return {decision.point.id: decision.reasons for decision in decisions}


def test_without_rules_everything_is_kept() -> None:
    points = [sealed(f"p{days}", NOW - timedelta(days=days)) for days in range(3)]
    decisions = plan(points, Retention(), NOW)
    assert all(decision.keep for decision in decisions)
    assert {decision.reasons for decision in decisions} == {("no retention rule is set",)}


def test_how_long_reports_are_kept_is_no_rule_for_points() -> None:
    """Nor is it where it stands alone, in the section of one repository for example."""
    points = [sealed(f"p{number}", NOW - timedelta(days=number)) for number in range(5)]
    rules = Retention.model_validate({"keep_drill_reports": "1d"})
    assert kept(points, rules) == {point.id for point in points}


def test_the_reasons_of_a_month_of_daily_points() -> None:
    points = [sealed(f"d{days:02}", NOW - timedelta(days=days, hours=4)) for days in range(30)]
    rules = Retention(keep_last=3, keep_daily=4, keep_weekly=2, keep_monthly=2)
    decisions = plan(points, rules, NOW)
    assert [decision.point.id for decision in decisions] == [f"d{days:02}" for days in range(30)]
    assert {name: why for name, why in reasons(decisions).items() if why != ("no rule keeps it",)} == {
        "d00": (
            "last 1 of 3",
            "daily 2026-11-24",
            "weekly 2026-W48",
            "monthly 2026-11",
            "newest sealed point",
        ),
        "d01": ("last 2 of 3", "daily 2026-11-23"),
        "d02": ("last 3 of 3", "daily 2026-11-22", "weekly 2026-W47"),
        "d03": ("daily 2026-11-21",),
        "d24": ("monthly 2026-10",),
    }
    assert {decision.keep for decision in decisions if decision.reasons == ("no rule keeps it",)} == {False}


def test_the_newest_of_each_period_stays() -> None:
    points = [
        sealed("hour-late", datetime(2026, 11, 23, 14, 50, tzinfo=UTC)),
        sealed("hour-early", datetime(2026, 11, 23, 14, 10, tzinfo=UTC)),
        sealed("year-late", datetime(2024, 12, 31, 23, 59, tzinfo=UTC)),
        sealed("year-early", datetime(2024, 1, 1, 0, 0, tzinfo=UTC)),
    ]
    decisions = reasons(plan(points, Retention(keep_hourly=2, keep_yearly=2), NOW))
    assert decisions["hour-late"] == ("hourly 2026-11-23 14:00+0000", "yearly 2026", "newest sealed point")
    assert decisions["hour-early"] == ("no rule keeps it",)
    assert decisions["year-late"] == ("hourly 2024-12-31 23:00+0000", "yearly 2024")
    assert decisions["year-early"] == ("no rule keeps it",)


def test_a_period_without_a_point_does_not_count() -> None:
    points = [sealed("new", NOW), sealed("old", NOW - timedelta(days=200))]
    assert kept(points, Retention(keep_daily=2)) == {"new", "old"}


def test_what_a_later_drill_has_disproved_is_not_proven() -> None:
    at = [NOW - timedelta(days=days) for days in (1, 5, 9)]
    newest = sealed("newest", at[0])
    rotten = sealed(
        "rotten",
        at[1],
        drill_note("rotten", at[1] + timedelta(hours=1)),
        drill_note("rotten", at[1] + timedelta(hours=2), outcome=Outcome.FAILED, level="quick"),
        drill_note("rotten", at[1] + timedelta(hours=3), outcome=Outcome.ERROR),
    )
    good = sealed("good", at[2], drill_note("good", at[2], outcome=Outcome.FAILED), drill_note("good", at[1]))
    assert kept([newest, rotten, good], Retention(keep_last=1)) == {"newest", "good"}


def test_a_proof_that_a_later_drill_could_not_repeat_lets_none_other_go() -> None:
    at = [NOW - timedelta(days=days) for days in (1, 5, 9, 12)]
    doubted = sealed(
        "doubted",
        at[1],
        drill_note("doubted", at[1]),
        drill_note("doubted", at[0], outcome=Outcome.ERROR),
    )
    points = [sealed("newest", at[0]), doubted, proven("good", at[2]), proven("older", at[3])]
    decisions = reasons(plan(points, Retention(keep_last=1), NOW))
    assert decisions["doubted"] == ("newest point that a drill has proven",)
    assert decisions["good"] == ("newest proven point whose last full drill passed",)
    assert decisions["older"] == ("no rule keeps it",)


def test_days_begin_where_the_zone_says() -> None:
    evening = sealed("evening", datetime(2026, 11, 22, 22, 30, tzinfo=UTC))
    night = sealed("night", datetime(2026, 11, 22, 23, 30, tzinfo=UTC))
    rules = Retention(keep_daily=2)
    assert [d.keep for d in plan([night, evening], rules, NOW)] == [True, False]
    berlin = plan([night, evening], rules, NOW, zone=ZoneInfo("Europe/Berlin"))
    assert reasons(berlin) == {
        "night": ("daily 2026-11-23", "newest sealed point"),
        "evening": ("daily 2026-11-22",),
    }


def test_the_hour_that_a_change_of_the_clock_repeats_is_two_hours() -> None:
    first = sealed("summer", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    second = sealed("winter", datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    decisions = plan([first, second], Retention(keep_hourly=2), NOW, zone=ZoneInfo("Europe/Berlin"))
    assert [decision.keep for decision in decisions] == [True, True]


def test_the_newest_proven_point_is_never_removed() -> None:
    points = [
        sealed("new", NOW - timedelta(days=1)),
        proven("proven", NOW - timedelta(days=400)),
        proven("proven-before", NOW - timedelta(days=500)),
    ]
    decisions = reasons(plan(points, Retention(keep_last=1), NOW))
    assert decisions == {
        "new": ("last 1 of 1", "newest sealed point"),
        "proven": ("newest point that a drill has proven",),
        "proven-before": ("no rule keeps it",),
    }


def rotated(point: Point) -> Point:
    """The point after its secrets were encrypted anew."""
    assert point.manifest is not None
    return replace(point, manifest=replace(point.manifest, revision=1))


def test_a_proof_with_other_keys_is_none_and_all_the_same_the_last_one_stays() -> None:
    new, old = sealed("new", NOW - timedelta(days=1)), proven("old", NOW - timedelta(days=400))
    older = proven("older", NOW - timedelta(days=500))
    assert (rotated(old).proven, rotated(old).keys_unproven) == (False, True)
    decisions = reasons(plan([new, rotated(old), rotated(older)], Retention(keep_last=1), NOW))
    assert decisions["old"] == (NEWEST_PROVEN_BEFORE,)
    assert decisions["older"] == ("no rule keeps it",)
    # What is proven as it is now counts for more, however old.
    decisions = reasons(plan([new, rotated(old), older], Retention(keep_last=1), NOW))
    assert decisions["old"] == ("no rule keeps it",)
    assert decisions["older"] == ("newest point that a drill has proven",)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERROR])
def test_a_drill_that_did_not_pass_proves_nothing(outcome: Outcome) -> None:
    old = NOW - timedelta(days=400)
    points = [sealed("new", NOW), sealed("old", old, drill_note("old", old, outcome=outcome))]
    assert kept(points, Retention(keep_last=1)) == {"new"}


def test_a_quick_drill_proves_nothing() -> None:
    old = NOW - timedelta(days=400)
    points = [sealed("new", NOW), sealed("old", old, drill_note("old", old, level="quick"))]
    assert kept(points, Retention(keep_last=1)) == {"new"}


def test_incomplete_points_are_not_decided_on_and_count_for_nothing() -> None:
    points = [incomplete("torn", NOW), sealed("whole", NOW - timedelta(days=1))]
    assert reasons(plan(points, Retention(keep_last=1), NOW)) == {
        "whole": ("last 1 of 1", "newest sealed point")
    }


def test_a_point_of_the_future_is_kept_and_pushes_nothing_out() -> None:
    points = [
        sealed("future", NOW + timedelta(days=365)),
        sealed("new", NOW - timedelta(days=1)),
        sealed("old", NOW - timedelta(days=2)),
    ]
    assert reasons(plan(points, Retention(keep_last=1), NOW)) == {
        "future": ("its time lies in the future: is a clock wrong?",),
        "new": ("last 1 of 1", "newest sealed point"),
        "old": ("no rule keeps it",),
    }


def test_what_was_there_before_a_collapse_stays() -> None:
    """The newest point before it and the newest proven one, whatever is proven since."""
    at = {f"d{days}": NOW - timedelta(days=days) for days in range(9)}
    points = [(proven if name in ("d0", "d6", "d7") else sealed)(name, moment) for name, moment in at.items()]
    lost = Collapse("d0", (Loss("image blobs", 67, 0, "d4", at["d4"]), Loss("tags", 9, 0, "d4", at["d4"])))
    decisions = reasons(plan(points, Retention(keep_last=1), NOW, collapses=[lost]))
    assert {name: why for name, why in decisions.items() if why != ("no rule keeps it",)} == {
        "d0": ("last 1 of 1", "newest sealed point", "newest point that a drill has proven"),
        "d4": ("newest point before a loss in production that nobody has confirmed",),
        "d6": ("newest proven point before a loss in production that nobody has confirmed",),
    }
    assert kept(points, Retention(keep_last=1)) == {"d0"}, "once it is confirmed"
    gone = [point for point in points if point.id != "d4"]
    again = reasons(plan(gone, Retention(keep_last=1), NOW, collapses=[lost]))
    assert again["d5"] == (BEFORE_COLLAPSE,)


def test_no_points_no_decisions() -> None:
    assert plan([], Retention(keep_last=1), NOW) == ()


moments = st.integers(-1000, 4 * 365 * 24 * 4).map(lambda quarters: NOW - timedelta(minutes=15 * quarters))


@st.composite
def histories(draw: st.DrawFn) -> list[Point]:
    kinds = (sealed, sealed, proven, incomplete)
    drawn = draw(st.lists(st.tuples(moments, st.sampled_from(kinds)), max_size=25))
    return [kind(f"p{number:02}", at) for number, (at, kind) in enumerate(drawn)]


retentions = st.builds(Retention, **{name: st.integers(0, 6) for name in RULES})


@given(histories(), retentions)
def test_guarded_points_are_always_kept(points: list[Point], rules: Retention) -> None:
    decisions = plan(points, rules, NOW)
    past = [d for d in decisions if d.point.taken_at <= NOW]
    assert all(decision.keep for decision in past[:1])
    assert all(decision.keep for decision in [d for d in past if d.point.proven][:1])
    assert all(decision.keep for decision in decisions if decision.point.taken_at > NOW)
    assert len(decisions) == sum(point.manifest is not None for point in points)
    assert all(decision.reasons for decision in decisions)


@given(histories(), retentions, st.sampled_from(RULES), st.integers(1, 5))
def test_a_larger_number_never_removes_more(
    points: list[Point], rules: Retention, name: str, more: int
) -> None:
    larger = rules.model_copy(update={name: getattr(rules, name) + more})
    if rules == Retention():
        return  # the first rule ends "keep everything", on purpose
    assert kept(points, rules) <= kept(points, larger)


@given(histories(), retentions)
def test_planning_again_removes_nothing_further(points: list[Point], rules: Retention) -> None:
    survivors = kept(points, rules)
    assert kept([point for point in points if point.id in survivors], rules) == survivors


@given(histories(), retentions, st.randoms())
def test_the_order_of_the_points_does_not_matter(
    points: list[Point], rules: Retention, random: Random
) -> None:
    shuffled = random.sample(points, len(points))
    assert plan(shuffled, rules, NOW) == plan(points, rules, NOW)


@given(histories(), retentions)
def test_each_rule_keeps_no_more_than_its_number(points: list[Point], rules: Retention) -> None:
    decisions = plan(points, rules, NOW)
    for name in RULES:
        word = name.removeprefix("keep_")
        said = [why for d in decisions for why in d.reasons if why.startswith(f"{word} ")]
        assert len(said) <= getattr(rules, name)
