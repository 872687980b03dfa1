"""When each job ran last, by whatever tells of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from drkit.daemon.history import Seen, merged
from drkit.daemon.planner import LastRun, Plan, overdue
from drkit.model import Attempt

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JOBS = {"backup": "0 2 * * *", "verify": "0 3 * * 6", "drill": "0 5 1 1,4,7,10 *", "drill_quick": "0 5 * * 0"}
PLAN = Plan("site", JOBS)


def attempt(verb: str, ago: timedelta, code: int | None = 0, scope: str = "") -> Attempt:
    began = NOW - ago
    return Attempt(f"{verb}-{ago}", verb, scope, began, None if code is None else began + HOUR, code)


def test_a_run_by_hand_or_timer_counts_and_one_that_was_cut_off_does_not() -> None:
    remembered = {job: LastRun(NOW - 10 * DAY, JOBS[job]) for job in JOBS}
    known = [
        attempt("backup", 2 * HOUR, 3),
        attempt("verify", HOUR, 130),
        attempt("drill", 2 * DAY, None, "full"),
        attempt("drill", 9 * DAY, 0, "quick from offsite"),
    ]
    found = merged(PLAN, remembered, known)
    assert {job: NOW - last.at for job, last in found.items()} == {
        "backup": 2 * HOUR,
        "verify": 10 * DAY,
        "drill": 10 * DAY,
        "drill_quick": 9 * DAY,
    }
    assert [due.job for due in overdue(PLAN, found, NOW)] == ["verify", "drill_quick"]


def test_a_job_that_is_new_on_a_schedule_that_is_remembered_counts_from_now() -> None:
    found = merged(PLAN, {"backup": LastRun(NOW - DAY, "0 4 * * *")}, [])
    assert found == {"backup": LastRun(NOW - DAY, "0 4 * * *")}


def test_with_the_memory_lost_the_repositories_tell() -> None:
    seen = Seen({"backup": NOW - 3 * DAY, "drill": NOW - 40 * DAY}, NOW - 300 * DAY)
    found = merged(PLAN, None, [attempt("backup", 5 * DAY)], seen)
    assert {job: NOW - last.at for job, last in found.items()} == {
        "backup": 3 * DAY,
        # Never, as far as anything tells: since the first backup.
        "verify": 300 * DAY,
        "drill": 40 * DAY,
        "drill_quick": 300 * DAY,
    }
    assert [due.job for due in overdue(PLAN, found, NOW)] == ["backup", "verify", "drill_quick"]


def test_a_site_that_was_never_backed_up_has_missed_nothing() -> None:
    assert merged(PLAN, None, [], Seen({}, None)) == {}
