"""The history of runs: everything that ended, whatever was forgotten as an attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from drkit.model import Attempt
from drkit.state import attempts, history

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def ended(number: int, at: datetime, code: int = 0) -> Attempt:
    return Attempt(str(number), "backup", "", at - timedelta(minutes=5), at, code)


def test_what_is_superseded_as_an_attempt_stays_in_the_history(tmp_path: Path) -> None:
    directory = tmp_path / "attempts"
    for code, seconds in ((0, 61.5), (6, None), (0, 90.0)):
        recorder = attempts.recorder(directory, "drill", "full")
        recorder.begin()
        recorder.end(code, message="a sentence", subject="d", recovery_time=seconds)
    attempts.note(directory, "notify")
    assert len([each for each in attempts.read(directory) if each.verb == "drill"]) == 1
    found = history.read(directory, NOW - 9999 * DAY)
    assert [(run.key, run.exit_code, run.recovery_time_seconds) for run in found] == [
        ("drill full", 0, 61.5),
        ("drill full", 6, None),
        ("drill full", 0, 90.0),
    ]
    assert {run.message for run in found} == {""}
    assert (directory / history.FILE).stat().st_mode & 0o777 == 0o600


def test_what_was_killed_stays_in_it_when_a_success_has_made_it_good(tmp_path: Path) -> None:
    directory = tmp_path / "attempts"
    attempts.recorder(directory, "backup").begin()
    (lost,) = attempts.read(directory)
    lock = next(directory.glob("*.lock"))
    lock.unlink()
    done = attempts.recorder(directory, "backup")
    done.begin()
    done.end(0)
    assert [run.good for run in attempts.read(directory)] == [True]
    first, second = history.read(directory, NOW - 9999 * DAY)
    assert (first.id, first.ended_at, second.good) == (lost.id, None, True)


def test_a_line_that_a_full_disk_has_cut_off_costs_no_other(tmp_path: Path) -> None:
    history.append(tmp_path, ended(1, NOW))
    with (tmp_path / history.FILE).open("a") as file:
        file.write('{"id": "2", "verb": "ba')
    history.append(tmp_path, ended(3, NOW))
    assert [run.id for run in history.read(tmp_path, NOW - DAY)] == ["1", "3"]
    assert history.read(tmp_path, NOW + DAY) == history.read(tmp_path / "none", NOW) == ()


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    for number in range(200):
        history.append(tmp_path, ended(number, NOW + number * DAY), large=4000)
        assert (tmp_path / history.FILE).stat().st_size < 4400
    found = history.read(tmp_path, NOW - DAY)
    assert [int(run.id) for run in found] == list(range(200 - len(found), 200))
    history.append(tmp_path, ended(999, NOW + 900 * DAY), large=1)
    assert [run.id for run in history.read(tmp_path, NOW - DAY)] == ["999"]
