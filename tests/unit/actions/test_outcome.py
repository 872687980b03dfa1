"""What follows a verb that failed: neither half waits for the other."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from drkit import config
from drkit.actions.outcome import Ended, tell, tell_of_end
from drkit.errors import BackupIncomplete, Bug, ConfigError, DrkitError
from drkit.model import Attempt
from drkit.reports.jsonable import envelope
from drkit.state import attempts
from drkit.state.directory import State
from tests.inbox import Inbox


def site(directory: Path, urls_file: str, textfile: str) -> config.Config:
    file = directory / "drkit.toml"
    file.write_text(
        f"""
        [site]
        name = "registry.example.com"
        state = "{directory}/state"
        [[repository]]
        name = "primary"
        url = "{directory}/repository"
        password_file = "{directory}/password"
        [notify]
        urls_file = "{directory}/{urls_file}"
        [metrics]
        textfile = "{directory}/{textfile}"
        """
    )
    return config.load_config(file)


def ended(settings: config.Config, error: DrkitError | None = None) -> Ended:
    """A backup that has just ended like that."""
    state = State(settings.site.state)
    state.prepare()
    recorder = attempts.recorder(state.attempts, "backup")
    recorder.begin()
    before = attempts.read(state.attempts)
    recorder.end(error.exit_code if error else 0, message=error.message if error else "")
    return Ended(recorder.attempt, error, before, lambda: envelope("backup", None, error))


def last(settings: config.Config, verb: str) -> Attempt:
    return next(a for a in attempts.read(State(settings.site.state).attempts) if a.verb == verb)


FAILED = BackupIncomplete("no recovery point was sealed")


def test_a_message_that_cannot_be_sent_leaves_the_metrics_true(tmp_path: Path) -> None:
    settings = site(tmp_path, "none", "drkit.prom")
    tell(settings, ended(settings, FAILED))
    assert last(settings, "notify").message == f"messages cannot be delivered to {tmp_path}/none"
    assert (
        'drkit_last_backup_success{site="registry.example.com"} 0.0' in (tmp_path / "drkit.prom").read_text()
    )


def test_metrics_that_cannot_be_written_keep_nobody_from_being_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "urls").write_text("no-such-service://example\n")
    settings = site(tmp_path, "urls", "none/drkit.prom")
    with pytest.raises(ConfigError, match="the directory of the metrics file"):
        tell(settings, ended(settings, FAILED))
    assert not last(settings, "metrics").good
    assert last(settings, "notify").message == "messages cannot be delivered to no-such-service://..."
    assert "cannot notify no-such-service://..." in caplog.text


def kill_a_drill(directory: Path) -> None:
    """One that ends without a word, as by SIGKILL."""
    script = (
        "import os, sys; from pathlib import Path; from drkit.state.attempts import recorder;"
        "recorder(Path(sys.argv[1]), 'drill', 'full').begin(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(directory)], check=False).returncode == 9


def test_what_was_killed_is_told_once(tmp_path: Path) -> None:
    """Whoever is killed cannot say so: the next one does."""
    with Inbox() as inbox:
        (tmp_path / "urls").write_text(f"json://127.0.0.1:{inbox.port}/\n")
        settings = site(tmp_path, "urls", "drkit.prom")
        state = State(settings.site.state)
        state.prepare()
        kill_a_drill(state.attempts)
        for _ in range(2):
            tell(settings, ended(settings))
    (title,) = inbox.titles
    assert title.startswith("drkit registry.example.com: RED: the full drill that began at ")
    metrics = (tmp_path / "drkit.prom").read_text()
    assert 'drkit_problems{kind="lost_run",red="true",site="registry.example.com"} 1.0' in metrics
    assert 'drkit_green{site="registry.example.com"} 0.0' in metrics


def test_messages_that_did_not_arrive_are_sent_again(tmp_path: Path) -> None:
    with Inbox() as inbox:
        (tmp_path / "urls").write_text(f"json://127.0.0.1:{inbox.port}/\n")
        settings = site(tmp_path, "urls", "drkit.prom")
        inbox.answer = 500
        tell(settings, ended(settings, FAILED))
        assert not last(settings, "notify").good
        inbox.answer = 200
        for _ in range(2):
            tell(settings, ended(settings))
    # The repository that is not there; that messages did not arrive is told with it, and once.
    ((title,), (body,)) = inbox.titles, inbox.bodies
    assert title.startswith("drkit registry.example.com: RED: cannot read the repository's password file")
    assert "An earlier message did not arrive: drkit registry.example.com: RED: the last backup" in body
    assert body.endswith("drkit backup has just succeeded.")
    assert last(settings, "notify").good


def test_the_end_of_a_scheduler_is_told(tmp_path: Path) -> None:
    with Inbox() as inbox:
        (tmp_path / "urls").write_text(f"json://127.0.0.1:{inbox.port}/\n")
        tell_of_end(site(tmp_path, "urls", "drkit.prom"), "scheduler", Bug("a bug in drkit: KeyError"))
    assert inbox.titles == ["drkit registry.example.com: RED: the scheduler has ended"]


def test_what_could_not_be_written_down_is_told_once_and_as_what_it_is(tmp_path: Path) -> None:
    """As on a full disk: its record says that it began, and nothing of its end."""
    with Inbox() as inbox:
        (tmp_path / "urls").write_text(f"json://127.0.0.1:{inbox.port}/\n")
        settings = site(tmp_path, "urls", "drkit.prom")
        done = ended(settings, FAILED)
        (record,) = State(settings.site.state).attempts.glob("backup.*.json")
        begun = replace(done.attempt, ended_at=None, exit_code=None, kind="", message="")
        record.write_bytes(TypeAdapter(Attempt).dump_json(begun))
        tell(settings, done)
    (title,) = inbox.titles
    assert "RED: the last backup" in title
    assert "failed: no recovery point was sealed" in title
    assert (
        'drkit_last_backup_success{site="registry.example.com"} 0.0' in (tmp_path / "drkit.prom").read_text()
    )
