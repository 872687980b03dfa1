"""When verbs run, by cron's own reading, and what is overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.daemon.planner import MANY, Due, LastRun, Plan, choose, describe, overdue, settle
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
    plan = Plan("site", {"backup": "0 2 * * *", "drill": "0 5 * * 0"}, BERLIN)
    assert describe(plan, TUESDAY) == (
        "backup: 0 2 * * *, next at Wed 2026-11-25 02:00 CET",
        "drill: 0 5 * * 0, next at Sun 2026-11-29 05:00 CET",
    )


JOBS = {"expire": "0 4 * * *", "verify": "0 6 * * *", "drill": "0 5 * * 0", "backup": "0 2 * * *"}


def test_what_is_overdue_the_most_important_first() -> None:
    last_runs = {
        "backup": LastRun(TUESDAY - timedelta(days=1), "0 2 * * *"),
        "drill": LastRun(TUESDAY - timedelta(days=9), "0 5 * * 0"),
        "expire": LastRun(TUESDAY - timedelta(hours=1), "0 4 * * *"),
        "verify": LastRun(TUESDAY - timedelta(minutes=1), "0 6 * * *"),
        "copy": LastRun(TUESDAY - timedelta(days=90), "0 6 * * *"),
    }
    assert overdue(Plan("site", JOBS), last_runs, TUESDAY) == (
        Due("backup", datetime(2026, 11, 24, 2, 0, tzinfo=UTC)),
        Due("verify", TUESDAY),
        Due("drill", datetime(2026, 11, 22, 5, 0, tzinfo=UTC)),
    )


def test_what_was_missed_many_times_is_due_once() -> None:
    plan = Plan("site", {"backup": "*/5 * * * *", "verify": "0 6 * * *"})
    last_runs = {job: LastRun(TUESDAY - timedelta(days=7, minutes=1), plan.jobs[job]) for job in plan.jobs}
    assert overdue(plan, last_runs, TUESDAY) == (
        Due("backup", TUESDAY - timedelta(days=7), MANY),
        Due("verify", TUESDAY - timedelta(days=7), 8),
    )


def test_a_job_that_is_always_due_lets_others_go_first() -> None:
    backup, copy, drill = (Due(job, TUESDAY) for job in ("backup", "copy", "drill"))
    assert choose((backup, copy, drill), ()) == backup
    assert choose((backup, copy, drill), {"backup"}) == copy
    assert choose((backup, copy, drill), {"backup", "copy"}) == drill
    assert choose((backup, copy), {"backup", "copy", "drill"}) == backup
    assert choose((), {"backup"}) is None


def test_every_job_is_put_off_by_the_same_each_time_and_by_no_more_than_is_allowed() -> None:
    jitter = timedelta(minutes=30)
    plans = [Plan(f"site-{number}", JOBS, jitter=jitter) for number in range(40)]
    delays = {plan.delay(job) for plan in plans for job in JOBS}
    assert len(delays) > 100
    assert timedelta() <= min(delays) < max(delays) <= jitter
    assert plans[0].delay("backup") == Plan("site-0", {}, BERLIN, jitter).delay("backup")
    assert Plan("site", JOBS).delay("backup") == timedelta()


@given(st.integers(0, 3 * 24 * 3600), st.integers(0, 7200))
def test_a_run_that_was_put_off_is_due_once(seconds: int, jitter: int) -> None:
    """Whenever the scheduler looks: each day has one run, which comes at its time or later."""
    plan = Plan("site", {"backup": "30 2 * * *"}, BERLIN, timedelta(seconds=jitter))
    began = TUESDAY + timedelta(seconds=seconds)
    first = plan.following("backup", LastRun(began, plan.jobs["backup"]))
    assert first > began
    local = (first - plan.delay("backup")).astimezone(BERLIN)
    assert (local.hour, local.minute, local.second) == (2, 30, 0)
    second = plan.following("backup", LastRun(first, plan.jobs["backup"]))
    assert second - first == timedelta(days=1)


def test_by_which_last_runs_a_schedule_is_kept() -> None:
    plan = Plan(
        "site", {"backup": "0 3 * * *", "verify": "0 6 * * *", "drill": "0 1 * * *", "copy": "0 7 * * *"}
    )
    overdue_by_the_old = LastRun(TUESDAY - timedelta(days=1), "0 2 * * *")
    known = {
        "backup": overdue_by_the_old,
        "verify": LastRun(TUESDAY - timedelta(hours=1), "0 7 * * *"),
        "drill": LastRun(TUESDAY + timedelta(days=9), "0 1 * * *"),
        "expire": LastRun(TUESDAY, "0 1 * * *"),
    }
    assert settle(plan, known, TUESDAY) == {
        "backup": overdue_by_the_old,
        "verify": LastRun(TUESDAY, "0 6 * * *"),
        "drill": LastRun(TUESDAY, "0 1 * * *"),
        "copy": LastRun(TUESDAY, "0 7 * * *"),
    }
