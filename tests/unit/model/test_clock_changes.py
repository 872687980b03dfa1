"""Times that a day lacks or has twice; and that `init` writes none of them, in any zone."""

from __future__ import annotations

import json
import subprocess
import tomllib
import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from drkit.actions.init import text
from drkit.config import Schedule
from drkit.daemon.units import on_calendar
from drkit.model import clock_changes
from drkit.model.clock_changes import Change, OddTime, changes, odd_times
from drkit.model.cron import parse
from tests import needs

NOW = datetime(2026, 9, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
at = datetime.fromisoformat
DEFAULT = Schedule.model_validate_json(json.dumps(tomllib.loads(text.SCHEDULE)["schedule"])).jobs


def test_the_changes_of_a_year() -> None:
    assert list(changes(BERLIN, NOW, timedelta(days=365))) == [
        Change(at("2026-10-25 02:00"), at("2026-10-25 03:00"), twice=True),
        Change(at("2027-03-28 02:00"), at("2027-03-28 03:00"), twice=False),
    ]
    half = next(changes(ZoneInfo("Australia/Lord_Howe"), NOW))
    assert half == Change(at("2026-10-04 02:00"), at("2026-10-04 02:30"), twice=False)
    assert list(changes(UTC, NOW)) == []


@pytest.mark.parametrize(
    ("expression", "odd"),
    [
        ("0 2 * * *", [OddTime(at("2026-10-25 02:00"), True), OddTime(at("2027-03-28 02:00"), False)]),
        ("30 1-2 * * sun", [OddTime(at("2026-10-25 02:30"), True),
                            OddTime(at("2027-03-28 02:30"), False)]),
        ("0 2 * 3 *", [OddTime(at("2027-03-28 02:00"), False)]),
        ("0 2 28 * mon", [OddTime(at("2027-03-28 02:00"), False)]),
        ("0 2 * * mon-fri", []),
        ("0 3 * * *", []),
        ("59 1 * * *", []),
        ("*/15 * * * *", []),
    ],
)  # fmt: skip
def test_what_an_expression_meets(expression: str, odd: list[OddTime]) -> None:
    assert list(odd_times(expression, BERLIN, NOW)) == odd


def test_it_is_said_by_verb() -> None:
    said = list(clock_changes.warnings({"backup": "0 2 * * *", "drill": "17 4 * * 0"}, BERLIN, NOW))
    assert said == [
        "backup at 0 2 * * *: 02:00 comes twice on 2026-10-25 and 02:00 does not exist on 2027-03-28"
        " in Europe/Berlin; better is a time such as 04:17"
    ]


@pytest.mark.slow
def test_the_schedule_that_init_writes_exists_on_every_day_everywhere() -> None:
    """Nothing but times that no change of the clock touches, in any zone, for years to come."""
    hours = {hour for expression in DEFAULT.values() for hour in parse(expression).hours}
    for name in zoneinfo.available_timezones():
        for change in changes(ZoneInfo(name), NOW, timedelta(days=2 * 366)):
            face = change.first
            while face < change.end:
                assert face.hour not in hours, f"{name}: {face}"
                face += timedelta(minutes=30)
    assert all(list(clock_changes.warnings(DEFAULT, zone, NOW)) == [] for zone in (BERLIN, UTC))


@pytest.mark.parametrize(("expression", "runs"), [("0 2 * * *", 2), (DEFAULT["backup"], 3)])
def test_systemd_leaves_out_a_day_that_lacks_the_time(expression: str, runs: int) -> None:
    program = needs.program("systemd-analyze")
    (calendar,) = on_calendar(parse(expression))
    words = [program, "calendar", "--base-time=2027-03-27 00:00:00", "--iterations=3", calendar]
    found = subprocess.run(
        words, env={"TZ": "Europe/Berlin", "LC_ALL": "C"}, capture_output=True, text=True, check=True
    )
    days = [line for line in found.stdout.splitlines() if "CE" in line and "2027-03-2" in line]
    assert len([line for line in days if line.split("2027-03-")[1][:2] in ("27", "28", "29")]) == runs
