"""Programs around a verb: real ones, that hang, fail, are missing, and leave others behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from drkit import config, logs
from drkit.actions import hooks
from drkit.actions.hooks import Ending
from drkit.config import Hook
from drkit.errors import ConfigError, HookFailed, Interrupted, ToolFailed, ToolMissing
from drkit.files import writable_by_others
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from tests.unit.tools.living import soon


def site(directory: Path, *sections: str) -> config.Config:
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
        """
        + "\n".join(f"[[hook]]\n{section}" for section in sections)
    )
    return config.load_config(file)


def script(directory: Path, body: str, name: str = "hook") -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def hook(when: str, command: Path, *words: str, more: str = "") -> str:
    return f'when = "{when}"\nverbs = ["backup"]\ncommand = {json.dumps([str(command), *words])}\n{more}\n'


def test_which_run_and_when(tmp_path: Path) -> None:
    def one(when: str, verb: str) -> Hook:
        return Hook.model_validate_json(json.dumps({"when": when, "verbs": [verb], "command": ["/x"]}))

    every = [one(when, verb) for verb in ("backup", "drill") for when in ("after", "failed", "before")]
    good, bad = Ending(None), Ending(ToolFailed("x"))
    assert [h.when for h in hooks.wanted(every, "backup", None)] == ["before"]
    assert [h.when for h in hooks.wanted(every, "backup", good)] == ["after"]
    assert [h.when for h in hooks.wanted(every, "backup", bad)] == ["after", "failed"]
    assert hooks.wanted(every, "verify", bad) == ()
    assert Ending(Interrupted("x")).outcome == "interrupted"


def test_what_it_gets_and_what_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "xyzzyxyzzy")
    logs.register_secret("sesame-open")
    told = tmp_path / "told"
    program = script(tmp_path, f'printf "%s|" "$@" >{told}; env >>{told}; echo "said to stderr" >&2')
    settings = site(tmp_path, hook("after", program, "a b", "$(id)", ";", "sesame-open"))
    caplog.set_level("INFO")
    assert hooks.after(settings, "backup", Ending(ToolFailed("x"), "P")) is None
    words, *variables = told.read_text().splitlines()
    assert words.startswith("a b|$(id)|;|sesame-open|"), "no shell looks at them"
    got = dict(line.split("=", 1) for line in (words.rpartition("|")[2], *variables) if "=" in line)
    assert {name: value for name, value in got.items() if name.startswith("DRKIT_")} == {
        "DRKIT_SITE": "registry.example.com",
        "DRKIT_VERB": "backup",
        "DRKIT_WHEN": "after",
        "DRKIT_OUTCOME": "failed",
        "DRKIT_EXIT_CODE": "7",
        "DRKIT_ERROR": "tool_failed",
        "DRKIT_POINT": "P",
    }
    assert "xyzzyxyzzy" not in told.read_text()
    assert f"hook {program}: said to stderr" in caplog.messages


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exit 3", "ended with exit code 3"),
        ("exec sleep 60", "took longer than 0:00:01 and was ended"),
        (None, "cannot run: "),
    ],
)
def test_one_that_fails_counts_where_it_is_required(
    tmp_path: Path, body: str | None, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    program = script(tmp_path, body) if body else tmp_path / "missing"
    required = site(tmp_path, hook("before", program, more='timeout = "1s"\nrequired = true'))
    with pytest.raises(HookFailed) as caught:
        hooks.before(required, "backup")
    assert why in caught.value.message
    assert caught.value.message.endswith("; backup was not begun")
    hooks.before(site(tmp_path, hook("before", program, more='timeout = "1s"')), "backup")
    assert sum(why in message for message in caplog.messages) == 2


def test_what_it_has_started_is_ended_with_it(tmp_path: Path) -> None:
    program = script(tmp_path, f"sleep 600 & echo $! >{tmp_path}/child; wait")
    settings = site(tmp_path, hook("after", program, more='timeout = "1s"\nrequired = true'))
    assert hooks.after(settings, "backup", Ending(None)) is not None
    child = int((tmp_path / "child").read_text())
    assert soon(lambda: not _runs(child))


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_one_that_leaves_a_process_behind_is_not_waited_for(tmp_path: Path) -> None:
    """It holds the output; with a pipe nobody would see its end."""
    program = script(tmp_path, f"setsid sleep 60 & echo $! >{tmp_path}/child; exit 0")
    settings = site(tmp_path, hook("after", program, more='timeout = "30s"\nrequired = true'))
    assert hooks.after(settings, "backup", Ending(None)) is None
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_what_writes_far_too_much_fills_no_disk(tmp_path: Path) -> None:
    """It writes 32 MB and then ends only when the disk holds two blocks of them."""
    wait = "while [ $(stat -Lc %b /proc/$$/fd/1) -gt 16 ]; do sleep 0.1; done"
    command = Command(("sh", "-c", f"echo first; yes | head -c 32M; {wait}"), called="yes")
    with tempfile.TemporaryFile(dir=tmp_path) as output:
        assert execute.into_file_within(command, output, 60, 4096) is not None, "nothing was given back"
        output.seek(0)
        assert output.read(8) == b"first\ny\n"


def test_what_never_stops_writing_is_ended_in_time(tmp_path: Path) -> None:
    command = Command(("sh", "-c", "yes >&2 & yes"), called="yes")
    with tempfile.TemporaryFile(dir=tmp_path) as output:
        assert execute.into_file_within(command, output, 0.5, 4096) is None


def test_a_command_is_a_list_with_a_path(tmp_path: Path) -> None:
    for command in ('"echo x"', '["echo", "x"]', "[]"):
        with pytest.raises(ConfigError, match='"command" in \\[\\[hook\\]\\] number 1'):
            site(tmp_path, f'when = "before"\nverbs = ["backup"]\ncommand = {command}\n')


def test_what_others_may_change_is_found(tmp_path: Path) -> None:
    program = script(tmp_path, "true")
    settings = site(tmp_path, hook("before", program))
    assert writable_by_others(program) == ""
    assert [finding.state for finding in hooks.examine(settings)] == ["ok"]
    for place, mode in ((program, 0o757), (tmp_path, 0o770)):
        before = place.stat().st_mode
        place.chmod(mode)
        assert writable_by_others(program) == str(place)
        with pytest.raises(ToolFailed, match=f"others may change what \\[\\[hook\\]\\] runs: {place}"):
            list(hooks.examine(settings))
        place.chmod(before)
    tmp_path.joinpath("link").symlink_to(program)
    program.chmod(0o757)
    assert writable_by_others(tmp_path / "link") == str(program)
    program.unlink()
    with pytest.raises(ToolMissing):
        list(hooks.examine(settings))


# Around a whole command


COMMAND = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
import typer
from drkit.cli.recording import Recorded
from drkit.cli.run import Options, perform
from drkit.errors import ToolFailed

def work(run):
    Path(sys.argv[1]).with_name("begun").touch()
    %s

try:
    context = SimpleNamespace(obj=Options(Path(sys.argv[1]), False))
    show = lambda paper, result: paper.print(str(result))
    perform(context, "backup", False, work, show, Recorded("backup"))
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


def run(directory: Path, does: str, *sections: str) -> subprocess.CompletedProcess[str]:
    site(directory, *sections)
    words = [sys.executable, "-c", COMMAND % does, str(directory / "drkit.toml")]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_after_hooks_run_however_it_ends_and_the_limit_is_kept(tmp_path: Path) -> None:
    said = tmp_path / "said"
    note = script(tmp_path, f'echo "$DRKIT_WHEN $DRKIT_OUTCOME $DRKIT_ERROR" >>{said}; exit "${{1:-0}}"')
    around = [hook(when, note) for when in ("before", "after", "failed")]
    limit = '[max_duration]\nbackup = "1s"\n'
    ended = run(tmp_path, "time.sleep(60)", *around, *[hook("after", note) + limit])
    assert ended.returncode == 124
    assert "error: backup took longer than 0:00:01, and was ended" in ended.stderr
    before, *after = said.read_text().splitlines()
    assert before.split() == ["before"]
    assert [line.split() for line in after] == [
        [when, "interrupted", "took_too_long"] for when in ("after", "failed", "after")
    ]
    said.unlink()
    (tmp_path / "begun").unlink()
    refused = run(tmp_path, "return 1", hook("before", note, "9", more="required = true"), *around)
    assert refused.returncode == 7
    assert not (tmp_path / "begun").exists()
    assert "backup was not begun" in refused.stderr
    assert [line.split() for line in said.read_text().splitlines()] == [
        ["before"],
        ["after", "failed", "hook_failed"],
        ["failed", "failed", "hook_failed"],
    ]
    late = run(tmp_path, "return 'done'", hook("after", note, "1", more="required = true"))
    assert late.returncode == 7
    assert "backup itself succeeded" in late.stderr


def test_it_gives_way_where_it_is_told_to(tmp_path: Path) -> None:
    does = "import os, subprocess; return (os.nice(0), subprocess.run('ionice', capture_output=True).stdout)"
    ended = run(
        tmp_path,
        does,
        """when = "failed"
        verbs = ["backup"]
        command = ["/bin/true"]
        [limits]
        nice = 7
        io = "idle"
    """,
    )
    assert ended.stdout == "(7, b'idle\\n')\n"
