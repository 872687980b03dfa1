"""What the scheduler makes up for, what it tells of, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.daemon.beside import Periodic
from drkit.daemon.memory import Memory
from drkit.daemon.planner import Plan
from drkit.daemon.scheduler import Loop, Surroundings, Work, last_runs, run
from drkit.errors import ConfigError, Interrupted, ToolFailed
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
    run_work(Work(Plan("site", jobs), act), state, Surroundings(stop))


def run_work(work: Work, state: Path, around: Surroundings) -> None:
    watched = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    handlers = [signal.getsignal(sign) for sign in watched]
    run(work, Memory(state / "schedule.json"), around)
    assert [signal.getsignal(sign) for sign in watched] == handlers


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

    end_when(lambda: remembered(tmp_path)["drill"] >= now)
    jobs = {"backup": "0 0 29 2 *", "drill": RARE, "verify": RARE}
    run_until_ended(jobs, tmp_path, act)
    assert told == [("begin", "backup"), ("end", "backup"), ("begin", "drill"), ("end", "drill")]
    assert [re.sub(r"(at|due) .*", r"\1", record.getMessage()) for record in caplog.records] == [
        "backup should have run at",
        "drill should have run at",
        "backup was due",
        "drill was due",
    ]
    assert caplog.records[0].getMessage().endswith(", when no scheduler ran: it runs now")
    after = remembered(tmp_path)
    assert now <= after["backup"] <= after["drill"] <= datetime.now(UTC)
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
        run_until_ended({"backup": RARE}, tmp_path / "state", unexpected)
    assert caught.value.message.startswith(f"cannot write {tmp_path}/state/schedule.json: ")
    assert caught.value.hint == "see [site] state"


def test_a_bad_expression_is_named_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run_until_ended({"backup": RARE, "drill": "0 25 * * *"}, tmp_path, unexpected)
    assert caught.value.message == (
        'the schedule of drill, "0 25 * * *", is not a cron expression: "25" is no hour (0-23)'
    )
    assert not (tmp_path / "schedule.json").exists()


def test_an_empty_schedule_is_no_schedule(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is nothing on the schedule"):
        run_until_ended({}, tmp_path, unexpected)


def test_the_process_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    program = f"""
import pathlib
from drkit.daemon.memory import Memory
from drkit.daemon.planner import Plan
from drkit.daemon.scheduler import Loop, Surroundings, Work, last_runs, run
work = Work(Plan("site", {{"backup": "{RARE}"}}), lambda job: 0)
run(work, Memory(pathlib.Path({str(tmp_path)!r}) / "schedule.json"), Surroundings(lambda: print("stop")))
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    soon((tmp_path / "schedule.json").exists)
    child.terminate()
    assert child.communicate(timeout=60)[0] == "stop\n"
    assert child.returncode == 0


def test_a_hangup_reads_the_configuration_again_and_loses_nothing_that_is_due(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "drkit")
    now = datetime.now(UTC)
    remember(tmp_path, backup=(now - timedelta(hours=30), "0 2 * * *"), verify=(now, RARE))
    told: list[str] = []
    asked = threading.Event()

    def act(job: str) -> int:
        told.append(job)
        if job == "backup":
            os.kill(os.getpid(), signal.SIGHUP)
            assert asked.wait(60)
        return 0

    def reload() -> Work:
        asked.set()
        remember_due.append(remembered(tmp_path)["verify"])
        return Work(Plan("site", {"verify": RARE, "expire": RARE}), act)

    remember_due: list[datetime] = []
    end_when(lambda: "expire" in remembered(tmp_path) and "backup ended with exit code 0" in caplog.text)
    first = Work(Plan("site", {"backup": "0 3 * * *", "verify": RARE}), act)
    run_work(first, tmp_path, Surroundings(lambda: None, reload=reload))
    assert told == ["backup"], "overdue by the old expression, it ran"
    assert remember_due == [now]
    assert "the configuration was read again" in caplog.messages
    assert remembered(tmp_path)["verify"] == now
    assert remembered(tmp_path)["expire"] > now


def test_a_wrong_configuration_keeps_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = threading.Event()
    begun = threading.Event()

    def reload() -> None:
        asked.set()

    def hang_up() -> None:
        soon(begun.is_set)
        os.kill(os.getpid(), signal.SIGHUP)

    def pages() -> contextlib.AbstractContextManager[list[Periodic]]:
        begun.set()
        return contextlib.nullcontext([])

    threading.Thread(target=hang_up, daemon=True).start()
    end_when(asked.is_set)
    work = Work(Plan("site", {"backup": RARE}), unexpected, pages)
    run_work(work, tmp_path, Surroundings(lambda: None, reload=reload))
    assert list(remembered(tmp_path)) == ["backup"]


def test_what_runs_beside_the_schedule_begins_and_ends_with_it(tmp_path: Path) -> None:
    told: list[str] = []
    failures: list[str] = []
    second = threading.Event()

    def fail() -> None:
        told.append("review")
        if told.count("review") == 2:
            second.set()
        raise ToolFailed("the service is away")

    @contextlib.contextmanager
    def pages() -> Iterator[list[Periodic]]:
        told.append("up")
        try:
            yield [Periodic("review", timedelta(seconds=0.5), fail)]
        finally:
            told.append("down")

    end_when(second.is_set)
    around = Surroundings(
        lambda: told.append("stop"), failed=lambda name, error: failures.append(f"{name}: {error}")
    )
    run_work(Work(Plan("site", {"backup": RARE}), unexpected, pages), tmp_path, around)
    assert told[0] == "up"
    assert told[-2:] == ["stop", "down"]
    assert failures == ["review: the service is away"] * told.count("review")


def test_what_cannot_start_beside_it_keeps_no_job_from_running(tmp_path: Path) -> None:
    remember(tmp_path, backup=(TUESDAY - timedelta(days=900), "0 2 * * *"))
    began = datetime.now(UTC)
    failures: list[str] = []

    def taken() -> contextlib.AbstractContextManager[list[Periodic]]:
        raise ToolFailed("the port is taken")

    end_when(lambda: remembered(tmp_path)["backup"] >= began)
    around = Surroundings(lambda: None, failed=lambda _name, error: failures.append(str(error)))
    run_work(Work(Plan("site", {"backup": RARE}), lambda _job: 0, taken), tmp_path, around)
    assert failures == ["the port is taken"]


def test_a_clock_that_is_set_forth_and_back_makes_nothing_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a tick sees it: the time is whatever the clock says."""
    hours = iter([0.0, 0.0, 24.5, 24.5, 24.5, 0.6, 0.6])
    last = [0.6]
    ran: list[datetime] = []

    def clock() -> datetime:
        last[0] = next(hours, last[0] + 0.5)
        return TUESDAY + timedelta(hours=last[0])

    def act(_job: str) -> int:
        ran.append(TUESDAY + timedelta(hours=last[0]))
        return 0

    end_when(lambda: len(ran) >= 3)
    around = Surroundings(lambda: None, clock=clock)
    run_work(Work(Plan("site", {"backup": "0 * * * *"}), act), tmp_path, around)
    assert "the clock was set back: backup counts from now" in caplog.messages
    assert ran[0] >= TUESDAY + timedelta(hours=24), "it leapt forward, and ran once"
    assert ran[1] < TUESDAY + timedelta(hours=4), "it was set back, and nothing waited for tomorrow"
    assert "backup was due 24 times: it runs once" in caplog.messages


def test_the_most_important_goes_first_whatever_ran_before_nothing_was_due(tmp_path: Path) -> None:
    """One that had its turn this morning is not behind the others at noon."""
    now = TUESDAY
    ran: list[str] = []

    def act(job: str) -> int:
        ran.append(job)
        return 0

    work = Work(Plan("site", {"backup": "0 * * * *", "runbook": "0 12 * * *"}), act)
    loop = Loop(work, Memory(tmp_path / "schedule.json"), Surroundings(lambda: None, clock=lambda: now))
    loop.begin(last_runs)

    def turn() -> None:
        loop.tick()
        if loop.running is not None:
            loop.running.join()

    for hours in (1, 1.5, 6, 6, 6.5):
        now = TUESDAY + timedelta(hours=hours)
        turn()
    assert ran == ["backup", "backup", "runbook"]
