"""Telling targets that hang, refuse or are away, and what is remembered: real services on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.actions.alarms import memory, pings, run, watch
from drkit.actions.alarms.plan import Look
from drkit.actions.alarms.settings import AlarmSettings
from drkit.config import Notify, Ping
from drkit.errors import ConfigError, ToolFailed
from drkit.logs import register_secret
from drkit.model import Attempt, Problem, ProblemKind
from drkit.state import attempts
from drkit.state.directory import State
from tests import needs
from tests.inbox import Inbox
from tests.web import Service

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)
FAILED = Problem(ProblemKind.LAST_RUN, "the last backup failed", subject="backup", cause="tool_failed")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    State(tmp_path / "state").prepare()
    return tmp_path / "state"


def site(state: Path, *urls: str, ping: Ping | None = None, **more: object) -> AlarmSettings:
    return AlarmSettings("site", state, Notify(urls=urls, **more), ping or Ping())  # type: ignore[arg-type]


def address(inbox: Inbox | Service) -> str:
    return f"json://127.0.0.1:{inbox.port}/"


def tell(settings: AlarmSettings, *problems: Problem, at: datetime = NOW) -> list[run.Sent]:
    return run.tell(settings, Look(at, problems))


def undelivered(state: Path) -> list[Attempt]:
    return [attempt for attempt in attempts.read(State(state).attempts) if not attempt.good]


def test_one_that_is_away_keeps_nobody_else_from_hearing_and_hears_it_later(state: Path) -> None:
    with Inbox() as here, Inbox() as away:
        settings = site(state, address(away), address(here))
        away.answer = 503
        assert [each.delivered for each in tell(settings, FAILED)] == [False, True]
        (attempt,) = undelivered(state)
        assert attempt.message.startswith("messages cannot be delivered to json://127.0.0.1:")
        again = memory.read(state).look_again
        assert again is not None
        assert again - NOW == timedelta(minutes=10), "soon"
        away.answer = 200
        assert [each.delivered for each in tell(settings, FAILED)] == [True]
        assert tell(settings, FAILED) == []
    assert (here.titles, away.titles) == (["drkit site: RED: the last backup failed"],) * 2
    assert "An earlier message did not arrive" in away.bodies[0]
    assert undelivered(state) == []


def test_one_that_hangs_takes_its_time_and_no_more(state: Path, tmp_path: Path) -> None:
    """With the whole of it: a webhook and a ping that hang as well."""
    with Service(hangs=True) as hanging, Inbox() as inbox:
        for name in ("hook", "ping"):
            (tmp_path / name).write_text(f"{hanging.url}/x\n")
        settings = site(state, webhook_file=tmp_path / "hook", ping=Ping(backup=tmp_path / "ping"))
        settings = replace(settings, patience=1.0)
        begun = pings.Started(settings, "backup")
        began = time.monotonic()
        found = pings.tell_of_end(settings, "backup", 3, lambda: {"ok": False})
        took = time.monotonic() - began
        begun.wait()
        assert all("no answer within" in each.why or "timed out" in each.why for each in found)
        assert [each.target.split(" at ")[0] for each in found] == ["ping of backup", "webhook"]
        assert took < 60, "side by side, and not for ever"
        sent = run.record_pings(settings, "backup", found)
        assert [each.delivered for each in sent] == [False, False]
        (attempt,) = undelivered(state)
        assert attempt.message.startswith("the end of backup cannot be told to ping of backup at http://127")
        run.record_pings(site(state), "backup", [])
        assert undelivered(state) == [], "nobody waits for it any more"
        assert tell(site(state, address(inbox)), FAILED)[0].delivered


def test_no_secret_is_sent_or_remembered(state: Path) -> None:
    register_secret("hunter2hunter2")
    secret = Problem(ProblemKind.LAST_RUN, "no login with hunter2hunter2", "not hunter2hunter2", subject="x")
    with Inbox() as inbox:
        tell(site(state, address(inbox)), secret)
    assert "hunter2" not in inbox.titles[0] + inbox.bodies[0] + (state / "alarms.json").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"targets": 3}', "\0" * 100])
def test_a_memory_that_is_damaged_means_that_it_is_told_again(state: Path, text: str) -> None:
    with Inbox() as inbox:
        settings = site(state, address(inbox))
        tell(settings, FAILED)
        assert tell(settings, FAILED) == []
        (state / "alarms.json").write_text(text)
        assert len(tell(settings, FAILED)) == 1
        assert tell(settings, FAILED) == []
    assert len(inbox.titles) == 2


def test_a_memory_that_cannot_be_written_means_the_same(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk: rather each time than never."""
    (state / "alarms.json").mkdir()
    with Inbox() as inbox:
        settings = site(state, address(inbox))
        tell(settings, FAILED)
        tell(settings, FAILED)
    assert len(inbox.titles) == 2
    assert "cannot write down in" in caplog.text


def test_a_full_disk_is_told_once_and_that_there_is_room_again(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        needs.missing("only root mounts")
    state = tmp_path / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", state], check=True)
    try:
        State(state).prepare()
        with Inbox() as inbox:
            settings = site(state, address(inbox))
            tell(settings)
            with contextlib.suppress(OSError), (state / "ballast").open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            assert [len(tell(settings, FAILED)) for _ in range(3)] == [1, 0, 0]
            # Also while it is full still.
            assert len(tell(settings)) == 1
            assert tell(settings) == []
        assert inbox.titles[1] == "drkit site: OK: backup works again"
        assert (state / "alarms.json").stat().st_mode & 0o777 == 0o600
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)


def test_a_target_that_is_new_is_told_what_is_wrong_already(state: Path) -> None:
    with Inbox() as first, Inbox() as second:
        tell(site(state, address(first)), FAILED)
        tell(site(state, address(first), address(second)), FAILED)
    assert (len(first.titles), len(second.titles)) == (1, 1)


def test_a_ping_starts_ends_and_has_the_last_words(state: Path, tmp_path: Path) -> None:
    with Service() as service:
        (tmp_path / "ping").write_text(f"{service.url}/3f0c2a9e\n")
        settings = site(state, ping=Ping(backup=tmp_path / "ping", status=tmp_path / "ping"))
        pings.Started(settings, "backup").wait()
        pings.tell_of_end(settings, "backup", 3, dict)
        pings.tell_of_end(settings, "drill", 3, dict)
        pings.tell_of_status(settings, green=False, said="no full drill")
        pings.tell_of_status(settings, green=True, said="green")
    assert [asked.path for asked in service.asked] == [f"/3f0c2a9e/{end}" for end in ("start", "3", "1", "0")]
    assert service.asked[2].body == b"no full drill"


def test_the_webhook_gets_the_result(state: Path, tmp_path: Path) -> None:
    with Service() as service:
        (tmp_path / "hook").write_text(f"{service.url}/results\nX-Token: xyzzyxyzzy\n")
        settings = site(state, webhook_file=tmp_path / "hook")
        assert pings.tell_of_end(settings, "drill", 0, lambda: {"ok": True, "odd": "\udcff"})[0].why == ""
    (asked,) = service.asked
    assert json.loads(asked.body) == {"ok": True, "odd": "\udcff"}
    assert asked.headers["X-Token"] == "xyzzyxyzzy"


def test_a_trial_names_whoever_is_not_reached(state: Path, tmp_path: Path) -> None:
    with Inbox() as inbox, Service() as service:
        (tmp_path / "ping").write_text(f"{service.url}/x\n")
        settings = site(
            state, address(inbox), urls_file=tmp_path / "none", ping=Ping(backup=tmp_path / "ping")
        )
        with pytest.raises(ToolFailed) as caught:
            run.try_out(settings)
    result = caught.value.result
    assert isinstance(result, run.Notified)
    assert [each.delivered for each in result.sent] == [True, False, True]
    assert caught.value.message == f"not delivered to {tmp_path}/none"
    assert service.asked[0].path == "/x/log", "neither good nor bad"
    assert inbox.titles == ["drkit site: this is a test"]
    with pytest.raises(ConfigError, match="nobody is to be told"):
        run.try_out(site(state))


def test_when_it_is_time_to_look(state: Path) -> None:
    with Inbox() as inbox:
        settings = site(state, address(inbox))
        assert watch.due(memory.read(state), set(), NOW), "nobody has ever looked"
        tell(settings, FAILED)
        known = memory.read(state)
    assert not watch.due(known, set(), NOW + timedelta(minutes=59))
    assert watch.due(known, set(), NOW + timedelta(hours=1))
    assert watch.due(known, set(), NOW - timedelta(hours=1)), "a clock that was set back"
    assert watch.due(known, {"killed"}, NOW), "of which nobody was told"
    killed = Problem(ProblemKind.LOST_RUN, "the backup never ended", subject="backup", cause="killed")
    with Inbox() as inbox:
        tell(site(state, address(inbox)), killed)
        assert not watch.due(memory.read(state), {"killed"}, NOW)
