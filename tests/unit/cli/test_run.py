"""How a command ends that meets an exception which nobody thought of: never in silence."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from drkit.actions.outcome import Ended
from drkit.cli import recording
from drkit.cli.ending import Ending
from drkit.cli.recording import Recorded
from drkit.config import load_config
from drkit.errors import DrkitError
from drkit.model import Attempt
from drkit.state import attempts, trail
from tests.inbox import Inbox

# Each starts a drkit of its own.
SLOW = pytest.mark.slow
COMMAND = """
import sys, threading
from pathlib import Path
from types import SimpleNamespace
from drkit import logs
from drkit.errors import BackupIncomplete, ToolFailed
from drkit.cli.run import Options, perform
from drkit.cli.recording import Recorded
import typer

def deep(): deep()
def in_thread():
    thread = threading.Thread(target=lambda: {}["lost"]); thread.start(); thread.join()
    return "done"

class Mute(Exception):
    def __str__(self): raise ValueError

def full_disk():
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

def show(paper, result):
    if result == "odd": {}["view"]
    paper.print(str(result))

def work(run):
    logs.register_secret("hunter2secret")
    %s

context = SimpleNamespace(obj=Options(Path(sys.argv[1]), False))
try:
    perform(context, "backup", "--json" in sys.argv, work, show, Recorded("backup"))
except typer.Exit as end:
    sys.exit(end.exit_code)
"""
CONFIG = """
[site]
name = "registry.example.com"
state = "{home}/state"
[[repository]]
name = "primary"
url = "{home}/repository"
password_file = "{home}/password"
[notify]
urls = ["json://127.0.0.1:{port}/"]
[metrics]
textfile = "{home}/drkit.prom"
"""


def run(home: Path, does: str, *words: str, port: int = 1) -> subprocess.CompletedProcess[str]:
    config = home / "drkit.toml"
    config.write_text(CONFIG.format(home=home, port=port))
    command = [sys.executable, "-c", COMMAND % does, str(config), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def after_a_success(home: Path) -> None:
    """What a backup that went well has left."""
    (home / "state").mkdir()
    done = attempts.recorder(home / "state" / "attempts", "backup")
    done.begin()
    done.end(0)
    assert last(home).good


def assert_told_that_it_failed(inbox: Inbox) -> None:
    (title,) = inbox.titles
    assert title.startswith("drkit registry.example.com: RED: the last backup ")


def last(home: Path) -> Attempt:
    (found,) = (a for a in attempts.read(home / "state" / "attempts") if a.verb == "backup")
    return found


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("{}['hunter2secret']", "KeyError: '***'"),
        pytest.param("assert 1 == 2, 'torn'", "AssertionError: torn", marks=SLOW),
        pytest.param("raise MemoryError", "MemoryError", marks=SLOW),
        ("deep()", "RecursionError: maximum recursion depth exceeded"),
        pytest.param("sys.exit(0)", "SystemExit: 0", marks=SLOW),
        pytest.param("raise typer.Exit(0)", "Exit: 0", marks=SLOW),
        pytest.param("raise Mute", "Mute", marks=SLOW),
        (r"raise ValueError('x\udcff')", "ValueError: x"),
        ("import sqlite3; sqlite3.connect(':memory:').execute('SELEC')", "OperationalError: near"),
    ],
)
def test_a_crash_is_a_failure_as_any_other(tmp_path: Path, does: str, said: str) -> None:
    after_a_success(tmp_path)
    with Inbox() as inbox:
        ended = run(tmp_path, does, port=inbox.port)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert f"error: a bug in drkit: {said}" in ended.stderr
    (file,) = (tmp_path / "state" / "crashes").iterdir()
    assert f"hint: report it with {file}, which has the traceback" in ended.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert "Traceback (most recent call last)" in text
    assert f"Python {sys.version.split()[0]}" in text
    assert re.search(r"^restic 0\.\d+\.\d+$", text, re.MULTILINE)
    assert "pydantic " in text
    assert "hunter2secret" not in text + ended.stderr
    assert (last(tmp_path).good, last(tmp_path).kind) == (False, "bug")
    assert_told_that_it_failed(inbox)
    assert (
        'drkit_last_backup_success{site="registry.example.com"} 0.0' in (tmp_path / "drkit.prom").read_text()
    )


def test_what_ends_a_thread_ends_the_command(tmp_path: Path) -> None:
    ended = run(tmp_path, "return in_thread()")
    assert ended.returncode == 1
    assert "error: a bug in drkit: KeyError: 'lost'" in ended.stderr
    assert ended.stdout == "done\n", "what there is to show is shown"
    assert not last(tmp_path).good


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_what_crashes_while_it_shows_a_result_is_a_failure_too(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    with Inbox() as inbox:
        ended = run(tmp_path, "return object() if '--json' in sys.argv else 'odd'", *words, port=inbox.port)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    if words:
        assert json.loads(ended.stdout)["error"]["kind"] == "bug"
    else:
        assert "error: a bug in drkit: KeyError: 'view'" in ended.stderr
    assert len(list((tmp_path / "state" / "crashes").iterdir())) == 1
    assert (last(tmp_path).good, last(tmp_path).kind) == (False, "bug")
    assert_told_that_it_failed(inbox)


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_what_crashes_while_it_shows_an_error_leaves_the_error(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    does = "raise BackupIncomplete('not sealed', result=object() if '--json' in sys.argv else 'odd')"
    ended = run(tmp_path, does, *words)
    assert ended.returncode == 3
    assert "error: a bug in drkit: " in ended.stderr
    if words:
        assert json.loads(ended.stdout)["error"]["message"] == "not sealed"
    else:
        assert "error: not sealed" in ended.stderr
    assert (last(tmp_path).kind, last(tmp_path).message) == ("backup_incomplete", "not sealed")


def test_a_name_that_is_no_text_is_written_down_and_told(tmp_path: Path) -> None:
    with Inbox() as inbox:
        ended = run(tmp_path, r"raise ToolFailed('cannot read /etc/\udcff')", port=inbox.port)
    assert ended.returncode == 7
    assert last(tmp_path).message == r"cannot read /etc/\udcff"
    assert_told_that_it_failed(inbox)


def test_where_nothing_can_be_written_it_is_said_and_told(tmp_path: Path) -> None:
    after_a_success(tmp_path)
    (tmp_path / "state" / "crashes").mkdir()
    with Inbox() as inbox:
        ended = run(tmp_path, "full_disk(); {}['lost']", port=inbox.port)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "error: a bug in drkit: KeyError: 'lost'" in ended.stderr
    assert "hint: its traceback could not be written" in ended.stderr
    assert_told_that_it_failed(inbox)
    assert list((tmp_path / "state" / "crashes").iterdir()) == []


@pytest.mark.parametrize("place", ["state", "state/attempts"])
def test_where_it_cannot_be_written_down_the_last_success_does_not_stand(tmp_path: Path, place: str) -> None:
    after_a_success(tmp_path)
    with Inbox() as inbox:
        in_the_way = tmp_path / place
        shutil.rmtree(in_the_way)
        in_the_way.write_text("in the way")
        ended = run(tmp_path, "{}['lost']", port=inbox.port)
    assert ended.returncode in (1, 4), "without a state directory nothing is tried"
    assert "Traceback" not in ended.stderr
    assert "cannot write down in" in ended.stderr
    assert_told_that_it_failed(inbox)
    assert (
        'drkit_last_backup_success{site="registry.example.com"} 0.0' in (tmp_path / "drkit.prom").read_text()
    )


@pytest.mark.parametrize("kind", [KeyError, MemoryError, RecursionError])
def test_what_crashes_while_others_are_told_is_a_failure_too(
    tmp_path: Path, kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    """And where it crashes once more, that is all there is to it."""
    config = tmp_path / "drkit.toml"
    config.write_text(CONFIG.format(home=tmp_path, port=1))
    told: list[DrkitError | None] = []

    def tell(_settings: object, ended: Ended) -> None:
        told.append(ended.error)
        raise kind("lost")

    trail = replace(recording.trail(load_config(config), Recorded("backup")), tell=tell)
    trail.begin()
    failed = Ending("backup", as_json=False, quiet=False, state=tmp_path / "state").record(
        trail, None, "done"
    )
    assert failed is not None
    assert failed.message == f"a bug in drkit: {kind('lost')!r}".replace(
        "('lost')", ": 'lost'" if kind is KeyError else ": lost"
    )
    assert told == [None, failed]
    assert (last(tmp_path).exit_code, last(tmp_path).kind) == (1, "bug")
    assert f"error: {failed.message}\n" in capsys.readouterr().err


def test_a_message_that_cannot_be_sent_changes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "raise ToolFailed('restic failed')", port=1).returncode == 7
    assert last(tmp_path).message == "restic failed"
    assert run(tmp_path, "return 'done'", port=1).returncode == 0
    assert last(tmp_path).good
    found = trail.read(tmp_path / "state", 500)
    assert [(each.verb, each.outcome, each.error) for each in found.entries] == [
        ("backup", "began", ""),
        ("backup", "failed", "tool_failed"),
        ("backup", "began", ""),
        ("backup", "succeeded", ""),
    ]
    assert found.faults == ()


def test_a_signal_that_comes_while_it_tidies_up_interrupts_afterwards(tmp_path: Path) -> None:
    does = """
    import os, signal, time
    from drkit import tidying
    with tidying.undisturbed():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        print("tidied", flush=True)
    time.sleep(60)
    """
    ended = run(tmp_path, does)
    assert (ended.returncode, ended.stdout) == (130, "tidied\n")
    assert "error: interrupted" in ended.stderr
    assert last(tmp_path).kind == "interrupted"


def test_a_signal_that_comes_where_nothing_can_be_raised_interrupts_afterwards(tmp_path: Path) -> None:
    does = """
    import os, signal, time, weakref
    class Gone: pass
    gone = Gone()
    kept = weakref.ref(gone, lambda _: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(0.1)))
    del gone
    time.sleep(60)
    """
    ended = run(tmp_path, does)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert "error: interrupted" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("sign", ["SIGINT", "SIGTERM"])
def test_a_signal_that_comes_when_all_is_said_changes_nothing(tmp_path: Path, sign: str) -> None:
    """While Python ends, which takes its time: what went well must not be told to have been interrupted."""
    late = f"import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.{sign})"
    ended = run(tmp_path, f"{late}; return 'done'")
    assert (ended.returncode, ended.stdout) == (0, "done\n")
    assert "Traceback" not in ended.stderr
    assert "interrupted" not in ended.stderr
    assert last(tmp_path).good


def test_a_full_disk_is_no_bug(tmp_path: Path) -> None:
    ended = run(tmp_path, "open('/dev/full', 'w').write('x' * 9999)")
    assert ended.returncode == 7
    assert "error: no space is left: No space left on device" in ended.stderr
    assert not (tmp_path / "state" / "crashes").exists()


def test_where_the_state_directory_cannot_take_it_the_traceback_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "crashes").write_text("in the way")
    ended = run(tmp_path, "{}['lost']")
    (file,) = (tmp_path / "tmp").glob("drkit-crash-*")
    assert str(file) in ended.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_crash_before_the_command_began_is_one_too(tmp_path: Path) -> None:
    """Such as of a library that cannot be imported."""
    config = tmp_path / "drkit.toml"
    config.write_text(CONFIG.format(home=tmp_path, port=1))
    (tmp_path / "state").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pyrage.py").write_text("raise RuntimeError('no such symbol')")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from drkit.cli.main import main; main()"
    words = [str(tmp_path / "broken"), "--config", str(config), "backup"]
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "error: a bug in drkit: RuntimeError: no such symbol" in ended.stderr
    assert len(list((tmp_path / "state" / "crashes").iterdir())) == 1
    assert (last(tmp_path).good, last(tmp_path).kind) == (False, "bug")


def test_a_configuration_that_is_broken_is_told_and_recorded(tmp_path: Path) -> None:
    """By what of it can still be read; with nothing of it, by what was good last."""
    with Inbox() as inbox:
        assert run(tmp_path, "return 'done'", port=inbox.port).returncode == 0
        config = tmp_path / "drkit.toml"
        text = config.read_text()
        for broken in (
            f"{text}[retention]\nkeep_lats = 3\n",
            f'[site]\nstate = "{tmp_path}/state"\nname = \n',
        ):
            inbox.titles.clear()
            config.write_text(broken)
            command = [
                sys.executable,
                "-m",
                "drkit",
                "--log-format",
                "json",
                "--config",
                str(config),
                "backup",
            ]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            assert ended.returncode == 4
            assert (last(tmp_path).good, last(tmp_path).kind) == (False, "config_error")
            if "lats" in broken:
                assert_told_that_it_failed(inbox)
            else:
                assert inbox.titles == [], "the same problem, which is known"
                assert not re.search("nobody can be told", ended.stderr)
            lines = [json.loads(line) for line in ended.stderr.splitlines()]
            assert lines[0]["error.type"] == "config_error"
            assert (lines[-1]["event.action"], lines[-1]["event.outcome"]) == ("backup", "failure")


def test_a_signal_that_comes_while_the_trail_is_written_loses_nothing(tmp_path: Path) -> None:
    does = """
    import os, signal
    stored = os.fsync
    def interrupted(descriptor):
        os.kill(os.getpid(), signal.SIGTERM)
        stored(descriptor)
    os.fsync = interrupted
    return "done"
    """
    ended = run(tmp_path, does)
    assert ended.returncode == 130
    assert "error: interrupted" in ended.stderr
    assert not last(tmp_path).good
    found = trail.read(tmp_path / "state", 500)
    assert [each.outcome for each in found.entries] == ["began", "succeeded"]


@pytest.mark.parametrize(
    ("words", "command", "hint"),
    [
        (["--log-format", "json", "keys", "list", "--bogus"], "keys list", "see `drkit keys list --help`"),
        (["trail", "--log-format", "json"], "trail", "before the command: drkit --log-format FORMAT VERB"),
    ],
)
def test_a_wrong_command_line_names_the_command_that_was_meant(
    words: list[str], command: str, hint: str
) -> None:
    line = [sys.executable, "-m", "drkit", *words, "--json"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    envelope = json.loads(ended.stdout)
    assert (ended.returncode, envelope["command"], envelope["error"]["kind"]) == (2, command, "usage_error")
    assert hint in envelope["error"]["hint"]
