"""The schedule in the foreground: what was missed runs at once, one is enough, the end is orderly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.e2e import gates, processes
from tests.e2e.commands import Drkit, Ended, exactly, fails, finish, wait_for
from tests.e2e.test_bad_input import only

# Not while these tests run.
_DAILY = f"0 {(datetime.now().astimezone().hour + 12) % 24} * * *"


@pytest.fixture
def overdue(fresh: Drkit) -> Drkit:
    """A drkit whose daily backup was last begun three days ago, and whose drill is not due."""
    fresh.change(only("secrets"))
    fresh.change(lambda document: document.update(schedule={"backup": _DAILY, "drill": "0 5 1 1 *"}))
    now = datetime.now(UTC)
    runs = {
        "backup": {"at": (now - timedelta(days=3)).isoformat(), "expression": _DAILY},
        "drill": {"at": now.isoformat(), "expression": "0 5 1 1 *"},
    }
    (fresh.state / "schedule.json").write_text(json.dumps(runs))
    return fresh


def last_backup(drkit: Drkit) -> datetime:
    """When the scheduler noted down that a backup began."""
    return datetime.fromisoformat(json.loads((drkit.state / "schedule.json").read_text())["backup"]["at"])


@contextmanager
def scheduler(drkit: Drkit) -> Iterator[subprocess.Popen[str]]:
    """A running scheduler; killed if a test has not ended it."""
    process = drkit.start("scheduler")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@contextmanager
def began(drkit: Drkit) -> Iterator[subprocess.Popen[str]]:
    """A scheduler that has looked at what was missed; from then on a signal is an orderly end."""
    schedule = drkit.state / "schedule.json"
    before = schedule.stat()
    with scheduler(drkit) as process:
        wait_for(lambda: not os.path.samestat(schedule.stat(), before), "the schedule is written anew")
        yield process


def end(process: subprocess.Popen[str], sign: signal.Signals = signal.SIGTERM) -> Ended:
    process.send_signal(sign)
    return finish(process)


def test_what_was_missed_runs_at_once_and_once(overdue: Drkit, tmp_path: Path) -> None:
    before = last_backup(overdue)
    socket, page = tmp_path / "status.sock", tmp_path / "status.html"
    overdue.change(lambda document: document.update(status={"listen": f"unix:{socket}", "page": str(page)}))
    with scheduler(overdue) as process:
        wait_for(lambda: last_backup(overdue) > before, "the backup was made up for")
        served(overdue, socket)
        assert page.read_text().startswith("<!doctype html>"), "the backup's run has written it"
        message = "another scheduler runs for this site"
        fails_once(overdue, message, "stop one of them")
        ended = end(process)
    assert ended.code == 0
    assert ended.stdout.count("is sealed") == 1
    assert "backup should have run at" in ended.stderr
    assert "backup ended with exit code 0" in ended.stderr
    assert "the scheduler ends" in ended.stderr
    assert not socket.exists()
    assert "error:" not in ended.stderr
    assert len(overdue.sealed()) == 1

    with began(overdue) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        ended = end(process, signal.SIGINT)
    assert ended.code == 0
    assert "next at" in ended.stderr
    assert "should have run at" not in ended.stderr
    assert "backup starts" not in ended.stderr
    assert len(overdue.sealed()) == 1, "once is enough"


def served(drkit: Drkit, socket: Path) -> None:
    """The scheduler serves what the backup's run has written, which is what `status` says."""
    found = drkit.run("status", "--json").envelope["result"]
    red = [each["message"] for each in found["findings"] if each["red"]]
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://drkit") as web:
        assert web.get("/healthz").json()["alive"] is True
        verdict = web.get("/status")
        assert (verdict.status_code, verdict.json()["green"]) == (
            200 if found["green"] else 503,
            found["green"],
        )
        assert verdict.json()["red"] == red
        assert 'drkit_last_backup_success{site="' in web.get("/metrics").text
        assert web.get("/").text.lstrip().startswith("<!doctype html>")


def fails_once(drkit: Drkit, message: str, hint: str) -> None:
    """The scheduler has no --json: it never ends by itself."""
    ended = drkit.run("scheduler")
    assert (ended.code, ended.complaint) == (7, (message, hint))


def test_ended_in_the_middle_of_a_backup_it_makes_up_for_it(overdue: Drkit) -> None:
    before = last_backup(overdue)
    gate = gates.site_locked(overdue)
    with scheduler(gate.drkit) as process:
        gate.wait(process)
        ended = end(process)
    assert ended.code == 0
    assert "backup was interrupted: it runs again when the scheduler starts" in ended.stderr
    assert processes.survivors(overdue.home) == []
    assert list((overdue.state / "runs").iterdir()) == []
    assert (overdue.sealed(), last_backup(overdue)) == ([], before)
    with scheduler(overdue) as process:
        wait_for(lambda: last_backup(overdue) > before, "the backup was made up for")
        end(process)
    assert len(overdue.sealed()) == 1


def test_killed_it_takes_its_backup_along_and_makes_up_for_it(overdue: Drkit) -> None:
    before = last_backup(overdue)
    gate = gates.site_locked(overdue)
    with scheduler(gate.drkit) as process:
        gate.wait(process)
        process.kill()
        process.communicate()
    assert processes.survivors(overdue.home) == []
    processes.bury()
    assert overdue.sealed() == []
    with scheduler(overdue) as process:
        wait_for(lambda: last_backup(overdue) > before, "the backup was made up for")
        assert end(process).code == 0
    assert len(overdue.sealed()) == 1


def test_a_failed_backup_does_not_end_it(overdue: Drkit) -> None:
    overdue.change(lambda document: document["secrets"].update(paths=["/nowhere"]))
    before = last_backup(overdue)
    with scheduler(overdue) as process:
        wait_for(lambda: last_backup(overdue) > before, "the backup was tried")
        ended = end(process)
    assert ended.code == 0
    assert "backup ended with exit code 3" in ended.stderr
    assert "error: no recovery point was sealed: secrets: there is no /nowhere" in ended.stderr


def test_nothing_on_the_schedule(fresh: Drkit) -> None:
    fresh.change(lambda document: document.pop("schedule"))
    message = "there is nothing on the schedule"
    hint = exactly("give [schedule] a line such as backup")
    fails(fresh, ["timers"], 4, "config_error", message, hint)
    ended = fresh.run("scheduler")
    assert (ended.code, ended.complaint) == (4, (message, "give [schedule] a line such as backup"))
