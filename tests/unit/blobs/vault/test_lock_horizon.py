"""For how long a point taken now may have to be kept: never shorter than retention really keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.blobs.vault.lock_horizon import lock_horizon, longest_interval
from drkit.config import Retention, Schedule
from drkit.points import retention
from tests import samples

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("expression", "longest"),
    [
        ("0 2 * * *", DAY),
        ("0 * * * *", timedelta(hours=1)),
        ("0 8,20 * * *", timedelta(hours=12)),
        ("0 8,18 * * *", timedelta(hours=14)),
        ("0 2 * * sun", 7 * DAY),
        ("0 2 * * mon-fri", 3 * DAY),
        ("0 2 1 * *", 31 * DAY),
        ("30 4 1 jan *", 370 * DAY),
        (None, DAY),
    ],
)
def test_the_longest_interval(expression: str | None, longest: timedelta) -> None:
    assert longest_interval(expression, NOW) == longest


def test_for_ever() -> None:
    assert lock_horizon(Retention(), Schedule(backup="0 2 * * *"), NOW) is None


def test_the_rule_that_keeps_longest_counts() -> None:
    rules = Retention(keep_last=3, keep_daily=7, keep_monthly=12)
    assert lock_horizon(rules, Schedule(backup="0 2 * * *"), NOW) == (12 * 31 + 1) * DAY
    assert lock_horizon(Retention(keep_last=3), Schedule(backup="0 2 * * sun"), NOW) == 28 * DAY
    assert lock_horizon(Retention(keep_daily=3), Schedule(backup="0 2 * * sun"), NOW) == 28 * DAY


RULES = st.builds(
    Retention,
    keep_last=st.integers(0, 5),
    keep_daily=st.integers(0, 5),
    keep_weekly=st.integers(0, 4),
    keep_monthly=st.integers(0, 3),
)


@given(rules=RULES, start=st.integers(0, 800), weekly=st.booleans())
def test_when_the_horizon_has_passed_no_rule_keeps_the_point(
    rules: Retention, start: int, weekly: bool
) -> None:
    """And as long as a rule keeps it, the horizon has not passed: backups come on time here."""
    interval = 7 * DAY if weekly else DAY
    taken = datetime(2026, 1, 4, 2, tzinfo=UTC) + start * interval
    horizon = lock_horizon(rules, Schedule(backup="0 2 * * sun" if weekly else "0 2 * * *"), taken)
    if horizon is None:
        assert rules == Retention()
        return
    count = horizon // interval + 2
    days = [taken + number * interval for number in range(count)]
    points = [samples.sealed(f"{day:%Y%m%d}", day) for day in days]
    decisions = retention.plan(points, rules, points[-1].taken_at)
    assert not next(each for each in decisions if each.point is points[0]).keep
