"""What the scheduler makes up for, what it tells of, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.triggers.interval import IntervalTrigger

from drkit.daemon.scheduler import make_scheduler, run
from drkit.errors import ConfigError, Interrupted
from tests.unit.tools.living import soon

TUESDAY = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
# Never due while a test runs.
RARE = "0 0 29 2 *"


def remember(state: Path, **verbs: tuple[datetime, str]) -> None:
    document = {verb: {"at": at.isoformat(), "expression": text} for verb, (at, text) in verbs.items()}
    (state / "schedule.json").write_text(json.dumps(document))


def remembered(state: Path) -> dict[str, datetime]:
    document = json.loads((state / "schedule.json").read_text())
    return {verb: datetime.fromisoformat(entry["at"]) for verb, entry in document.items()}


def end() -> None:
    """What `systemctl stop` does."""
    os.kill(os.getpid(), signal.SIGTERM)


def end_when(done: Callable[[], bool]) -> None:
    """`end` when that is done and the scheduler listens: before that it would end the tests."""
    before = signal.getsignal(signal.SIGTERM)

    def listen_and_end() -> None:
        # Where it is never done, what the test asserts says what is missing.
        soon(lambda: signal.getsignal(signal.SIGTERM) is not before)
        soon(done)
        # What it must not run it would have run by now.
        time.sleep(0.3)
        end()

    threading.Thread(target=listen_and_end, daemon=True).start()


def run_until_ended(
    jobs: Mapping[str, str], state: Path, act: Callable[[str], int], stop: Callable[[], None] = lambda: None
) -> None:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    run(jobs, act, state, stop=stop)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers


def unexpected(verb: str) -> int:
    raise AssertionError(f"{verb} was run")


def test_a_first_start_runs_nothing_and_counts_from_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "drkit")
    began = datetime.now(UTC)
    end_when(lambda: "next at" in caplog.text)
    run_until_ended({"backup": RARE}, tmp_path / "state", unexpected)
    assert began <= remembered(tmp_path / "state")["backup"] <= datetime.now(UTC)
    assert f"backup: {RARE}, next at " in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]


def test_what_was_missed_is_made_up_for_once_and_one_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    remember(
        tmp_path,
        backup=(now - timedelta(days=3), "0 * * * *"),
        drill=(now - timedelta(days=30), "0 5 * * 0"),
        verify=(now, RARE),
    )
    told: list[tuple[str, str]] = []

    def act(verb: str) -> int:
        told.append(("begin", verb))
        time.sleep(0.2)
        told.append(("end", verb))
        return 0

    end_when(lambda: remembered(tmp_path)["backup"] >= now)
    jobs = {"backup": "0 0 29 2 *", "drill": RARE, "verify": RARE}
    run_until_ended(jobs, tmp_path, act)
    assert told == [("begin", "drill"), ("end", "drill"), ("begin", "backup"), ("end", "backup")]
    assert [record.getMessage().split(" at ")[0] for record in caplog.records] == [
        "drill should have run",
        "backup should have run",
    ]
    assert caplog.records[0].getMessage().endswith(", when no scheduler ran: it runs now")
    after = remembered(tmp_path)
    assert now <= after["drill"] <= after["backup"] <= datetime.now(UTC)
    assert after["verify"] == now


def test_a_schedule_that_was_changed_makes_nothing_overdue(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    remember(tmp_path, backup=(now - timedelta(days=3), RARE), drill=(now - timedelta(days=9), "0 5 * * 0"))
    end_when(lambda: list(remembered(tmp_path)) == ["backup"])
    # Daily, and not due while this runs.
    run_until_ended({"backup": f"0 {(now.astimezone().hour + 12) % 24} * * *"}, tmp_path, unexpected)
    # It counts from now, by the new expression; and the drill is not on the schedule any more.
    assert list(remembered(tmp_path)) == ["backup"]
    assert remembered(tmp_path)["backup"] >= now


def test_a_failed_run_has_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remember(tmp_path, backup=(TUESDAY - timedelta(days=900), "0 2 * * *"))
    began = datetime.now(UTC)

    end_when(lambda: remembered(tmp_path)["backup"] >= began)
    run_until_ended({"backup": RARE}, tmp_path, lambda _verb: 3)
    assert "backup ended with exit code 3" in caplog.messages
    assert remembered(tmp_path)["backup"] >= began


def test_a_run_that_cannot_begin_ends_the_scheduler_and_stays_overdue(tmp_path: Path) -> None:
    long_ago = TUESDAY - timedelta(days=900)
    remember(tmp_path, backup=(long_ago, "0 2 * * *"))

    def act(verb: str) -> int:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        run_until_ended({"backup": RARE}, tmp_path, act)
    assert remembered(tmp_path)["backup"] == long_ago


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_under_way_and_starts_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sign: signal.Signals
) -> None:
    long_ago = TUESDAY - timedelta(days=900)
    remember(tmp_path, backup=(long_ago, "0 2 * * *"), drill=(long_ago + timedelta(days=1), "0 2 * * *"))
    told: list[str] = []
    stopped = threading.Event()

    def act(verb: str) -> int:
        told.append(verb)
        os.kill(os.getpid(), sign)
        assert stopped.wait(60)
        return 130

    def stop() -> None:
        told.append("stop")
        stopped.set()

    run_until_ended({"backup": RARE, "drill": RARE}, tmp_path, act, stop)
    assert told == ["backup", "stop"]
    assert "backup was interrupted: it runs again when the scheduler starts" in caplog.messages
    assert remembered(tmp_path) == {"backup": long_ago, "drill": long_ago + timedelta(days=1)}


def test_an_act_may_end_by_being_interrupted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remember(tmp_path, backup=(TUESDAY - timedelta(days=900), "0 2 * * *"))
    stopped = threading.Event()

    def act(verb: str) -> int:
        end()
        assert stopped.wait(60)
        raise Interrupted("interrupted")

    run_until_ended({"backup": RARE}, tmp_path, act, stopped.set)
    assert "backup was interrupted: it runs again when the scheduler starts" in caplog.messages


def test_a_run_that_ends_well_all_the_same_is_noted_down(tmp_path: Path) -> None:
    remember(tmp_path, backup=(TUESDAY - timedelta(days=900), "0 2 * * *"))
    began = datetime.now(UTC)
    stopped = threading.Event()

    def act(verb: str) -> int:
        end()
        assert stopped.wait(60)
        return 0

    run_until_ended({"backup": RARE}, tmp_path, act, stopped.set)
    assert remembered(tmp_path)["backup"] >= began


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"backup": {"at": "2026-11-24T06:00:00", "expression": "0 2 * * *"}}',
        '{"backup": {"at": "2026-11-24T06:00:00Z", "expression": "0 2"}}',
        '{"backup": {"at": "2026-11-24T06:00:00Z"}}',
    ],
)
def test_a_memory_that_cannot_be_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (tmp_path / "schedule.json").write_text(text)
    end_when(lambda: (tmp_path / "schedule.json").read_text() != text)
    run_until_ended({"backup": RARE}, tmp_path, unexpected)
    path = tmp_path / "schedule.json"
    assert f"cannot read from {path} what was missed: a new one is made" in caplog.messages
    assert list(remembered(tmp_path)) == ["backup"]


def test_a_state_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(ConfigError) as caught:
        run({"backup": RARE}, unexpected, tmp_path / "state", stop=lambda: None)
    assert caught.value.message.startswith(f"cannot write {tmp_path}/state/schedule.json: ")
    assert caught.value.hint == "see [site] state"


def test_a_bad_expression_is_named_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run({"backup": RARE, "drill": "0 25 * * *"}, unexpected, tmp_path, stop=lambda: None)
    assert caught.value.message == (
        'the schedule of drill, "0 25 * * *", is not a cron expression: "25" is no hour (0-23)'
    )
    assert not (tmp_path / "schedule.json").exists()


def test_an_empty_schedule_is_no_schedule(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is nothing on the schedule"):
        run({}, unexpected, tmp_path, stop=lambda: None)


def test_a_run_that_is_due_before_the_last_has_ended_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = make_scheduler()
    release, told = threading.Event(), threading.Event()

    def act() -> None:
        release.wait(60)

    scheduler.add_job(act, IntervalTrigger(seconds=0.05, timezone=UTC), id="backup")
    scheduler.add_listener(lambda _event: told.set(), EVENT_JOB_MAX_INSTANCES)
    scheduler.start()
    assert told.wait(60)
    release.set()
    scheduler.shutdown(wait=True)
    own = {record.message for record in caplog.records if record.name.startswith("drkit.")}
    assert own == {"backup is due, but its last run has not ended: left out"}


def test_a_late_run_is_never_dropped() -> None:
    """APScheduler's own default drops what is more than a second late."""
    scheduler = make_scheduler()
    ran: list[float] = []
    done = threading.Event()

    def act() -> None:
        ran.append(time.monotonic())
        done.set()

    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    hourly = IntervalTrigger(hours=1, start_date=two_hours_ago, timezone=UTC)
    scheduler.add_job(act, hourly, id="backup", next_run_time=two_hours_ago)
    scheduler.start()
    assert done.wait(60)
    time.sleep(0.2)
    scheduler.shutdown(wait=True)
    assert len(ran) == 1


def test_the_process_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    program = f"""
import pathlib
from drkit.daemon.scheduler import run
run({{"backup": "{RARE}"}}, lambda verb: 0, pathlib.Path({str(tmp_path)!r}), stop=lambda: print("stop"))
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    soon((tmp_path / "schedule.json").exists)
    child.terminate()
    assert child.communicate(timeout=60)[0] == "stop\n"
    assert child.returncode == 0
