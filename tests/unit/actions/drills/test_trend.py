"""Where recovery time goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drkit.actions.drills.trend import trend
from drkit.model import DrillNote, Outcome
from tests.samples import drill_note

START = datetime(2026, 1, 1, tzinfo=UTC)


def drills(*seconds: float, every: int = 30) -> list[DrillNote]:
    return [
        replace(drill_note(f"p{n}", START + timedelta(days=n * every)), recovery_time_seconds=value)
        for n, value in enumerate(seconds)
    ]


def test_steady_growth_meets_the_objective_on_a_day() -> None:
    # Ten seconds a day from 600: 1,200 at the third, and 3,600 three hundred days after the first.
    found = trend(drills(600, 900, 1200), timedelta(hours=1), START + timedelta(days=60))
    assert found is not None
    assert (found.drills, found.seconds_a_day, found.expected_seconds) == (3, 10.0, 1200.0)
    assert found.missed_on is not None
    assert abs(found.missed_on - (START + timedelta(days=300))) < timedelta(minutes=1)


def test_what_shrinks_or_stands_still_is_never_missed() -> None:
    for seconds in ([600, 600, 600], [900, 800, 700]):
        found = trend(drills(*seconds), timedelta(hours=1), START + timedelta(days=60))
        assert found is not None
        assert found.missed_on is None


def test_what_is_missed_already_is_missed_now() -> None:
    now = START + timedelta(days=60)
    found = trend(drills(4000, 4100, 4200), timedelta(hours=1), now)
    assert found is not None
    assert found.missed_on == now


def test_without_an_objective_nothing_is_missed() -> None:
    found = trend(drills(600, 900, 1200), None, START + timedelta(days=60))
    assert found is not None
    assert (found.target_seconds, found.missed_on) == (None, None)


def test_what_lies_more_than_ten_years_ahead_is_not_told() -> None:
    found = trend(drills(600.0, 600.1, 600.2), timedelta(hours=1), START + timedelta(days=60))
    assert found is not None
    assert found.seconds_a_day > 0
    assert found.missed_on is None


def test_too_few_or_in_too_short_a_time_are_no_trend() -> None:
    assert trend(drills(600, 900), timedelta(hours=1), START) is None
    assert trend(drills(600, 900, 1200, every=1), timedelta(hours=1), START) is None


def test_only_full_drills_that_passed_count() -> None:
    found = drills(600, 900, 1200)
    found[1] = replace(found[1], outcome=Outcome.FAILED)
    assert trend(found, None, START) is None
    found[1] = replace(found[1], outcome=Outcome.PASSED, level="quick")
    assert trend(found, None, START) is None
