"""When verbs run, by cron's own reading, and what is overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.daemon.scheduler import CronTrigger, LastRun, describe, missed
from drkit.model import cron

BERLIN = ZoneInfo("Europe/Berlin")
TUESDAY = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def next_times(expression: str, after: datetime, count: int) -> tuple[datetime, ...]:
    return tuple(islice(cron.times(expression, after), count))


def days(expression: str, count: int = 3) -> list[str]:
    return [f"{at:%a %Y-%m-%d %H:%M}" for at in next_times(expression, TUESDAY, count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 5 * * 0", ["Sun 2026-11-29 05:00", "Sun 2026-12-06 05:00", "Sun 2026-12-13 05:00"]),
        ("0 5 * * 7", ["Sun 2026-11-29 05:00", "Sun 2026-12-06 05:00", "Sun 2026-12-13 05:00"]),
        ("0 5 * * sun", ["Sun 2026-11-29 05:00", "Sun 2026-12-06 05:00", "Sun 2026-12-13 05:00"]),
        ("0 5 * * 1", ["Mon 2026-11-30 05:00", "Mon 2026-12-07 05:00", "Mon 2026-12-14 05:00"]),
        ("0 5 * * 6,0", ["Sat 2026-11-28 05:00", "Sun 2026-11-29 05:00", "Sat 2026-12-05 05:00"]),
        ("0 6 * * *", ["Wed 2026-11-25 06:00", "Thu 2026-11-26 06:00", "Fri 2026-11-27 06:00"]),
        ("*/30 6-8/2 * * *", ["Tue 2026-11-24 06:30", "Tue 2026-11-24 08:00", "Tue 2026-11-24 08:30"]),
        # Either the 13th or a Friday, and once where it is both.
        ("0 0 13 * 5", ["Fri 2026-11-27 00:00", "Fri 2026-12-04 00:00", "Fri 2026-12-11 00:00"]),
        ("0 0 27 11 fri", ["Fri 2026-11-27 00:00", "Fri 2027-11-05 00:00", "Fri 2027-11-12 00:00"]),
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00", "Fri 2036-02-29 00:00"]),
    ],
)
def test_next_times(expression: str, expected: list[str]) -> None:
    assert days(expression) == expected


fields = st.tuples(
    st.sampled_from(["0", "30", "*/45", "10-20/5"]),
    st.sampled_from(["*", "2", "0,12", "9-17/4"]),
    st.sampled_from(["*", "1", "13,14", "*/2"]),
    st.sampled_from(["*", "11,12"]),
    st.sampled_from(["*", "0", "7", "1-5", "fri", "*/3"]),
)


@given(fields.map(" ".join), st.integers(0, 20_000).map(lambda minutes: TUESDAY + timedelta(minutes=minutes)))
def test_next_times_are_those_that_cron_would_find(expression: str, after: datetime) -> None:
    """Against cron's own way: look at every minute."""
    wanted = cron.parse(expression)

    def fits(at: datetime) -> bool:
        day, weekday = at.day in wanted.days, at.isoweekday() % 7 in wanted.weekdays
        return (
            at.month in wanted.months
            and (day or weekday if wanted.either_day else day and weekday)
            and at.hour in wanted.hours
            and at.minute in wanted.minutes
        )

    end = after + timedelta(days=3)
    minutes = (after + timedelta(minutes=number) for number in range(1, 3 * 24 * 60 + 1))
    expected = [at for at in minutes if fits(at)]
    assert [at for at in next_times(expression, after, len(expected) + 1) if at <= end] == expected


def test_a_time_that_the_clock_leaps_over_is_not_lost() -> None:
    before = datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN)
    found = next_times("15,30 2 * * *", before, 3)
    assert [f"{at:%d %H:%M}" for at in found] == ["29 03:00", "30 02:15", "30 02:30"]


def test_a_time_that_comes_twice_is_due_once() -> None:
    before = datetime(2026, 10, 24, 12, 0, tzinfo=BERLIN)
    found = next_times("30 2 * * *", before, 2)
    assert [at.astimezone(UTC).strftime("%d %H:%M") for at in found] == ["25 00:30", "26 01:30"]
    # Between the first 02:30 and the second, the next one is that of the next day.
    assert next_times("30 2 * * *", datetime(2026, 10, 25, 2, 15, fold=1, tzinfo=BERLIN), 1) == found[1:]


def test_the_trigger_comes_to_an_end_in_the_hour_that_comes_twice() -> None:
    """As APScheduler asks it: from one time to the next, for as long as they are past."""
    expression = CronTrigger("30 2 * * *", BERLIN)
    first = expression.get_next_fire_time(None, datetime(2026, 10, 24, 12, 0, tzinfo=BERLIN))
    now = datetime(2026, 10, 25, 0, 30, 1, tzinfo=UTC)
    assert first <= now
    assert expression.get_next_fire_time(first, now) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "Antarctica/Troll"])
@pytest.mark.parametrize("hour", range(24))
def test_a_daily_schedule_is_due_once_a_day_all_year(zone: str, hour: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    found = next_times(f"15 {hour} * * *", start, 365)
    assert len({at.date() for at in found}) == len(found) == 365
    assert found[-1].date().isoformat() == "2026-12-31"


def test_every_hour_of_a_day_with_25_runs() -> None:
    before = datetime(2026, 10, 25, 0, 30, tzinfo=BERLIN)
    found = next_times("0 * * * *", before, 4)
    assert [at.astimezone(UTC).hour for at in found] == [23, 0, 1, 2]


def test_describe() -> None:
    assert describe({"backup": "0 2 * * *", "drill": "0 5 * * 0"}, TUESDAY.astimezone(BERLIN)) == (
        "backup: 0 2 * * *, next at Wed 2026-11-25 02:00 CET",
        "drill: 0 5 * * 0, next at Sun 2026-11-29 05:00 CET",
    )


def test_what_is_overdue() -> None:
    last_runs = {
        "backup": LastRun(TUESDAY - timedelta(days=1), "0 2 * * *"),
        "drill": LastRun(TUESDAY - timedelta(days=9), "0 5 * * 0"),
        "expire": LastRun(TUESDAY - timedelta(hours=1), "0 4 * * *"),
        "verify": LastRun(TUESDAY - timedelta(minutes=1), "0 6 * * *"),
    }
    assert missed(last_runs, TUESDAY) == {
        "drill": datetime(2026, 11, 22, 5, 0, tzinfo=UTC),
        "backup": datetime(2026, 11, 24, 2, 0, tzinfo=UTC),
        "verify": TUESDAY,
    }
    assert list(missed(last_runs, TUESDAY)) == ["drill", "backup", "verify"]
