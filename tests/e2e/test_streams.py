"""Streams that are closed, full, or whose reader has gone: the work and its exit code do not suffer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.commands import Drkit
from tests.e2e.conftest import Drilled
from tests.e2e.test_bad_input import only


def shell(drkit: Drkit, words: str, redirections: str) -> subprocess.CompletedProcess[str]:
    """Run drkit by a shell that opens, closes and joins its streams."""
    script = f'"$0" -m drkit --config "$1" {words} {redirections}'
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, drkit.python, str(drkit.config)],
        env=drkit.surroundings,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("form", ["", "--json"])
def test_a_reader_that_has_gone_is_no_error(drilled: Drilled, form: str) -> None:
    done = shell(drilled.drkit, f"show latest {form}", "| true")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(drilled: Drilled, closed: str) -> None:
    """The next file that is opened must not take a closed stream's number: messages would go into it."""
    for words, code in (("points", 0), ("points --json", 0), ("show nothing", 4)):
        done = shell(drilled.drkit, words, closed)
        assert done.returncode == code, done
        assert "bug" not in done.stderr


def test_a_result_that_cannot_be_written_is_told(drilled: Drilled) -> None:
    for form in ("", "--json"):
        done = shell(drilled.drkit, f"points {form}", ">/dev/full")
        assert done.returncode == 7
        assert done.stderr.splitlines() == [
            "error: the result could not be written: No space left on device",
            "hint: what was asked for is done; see where standard output goes",
        ]


def test_an_error_keeps_its_code_and_its_words(drilled: Drilled) -> None:
    assert shell(drilled.drkit, "show nothing", "2>/dev/full").returncode == 4
    done = shell(drilled.drkit, "show nothing --json", ">/dev/full")
    assert done.returncode == 4
    assert done.stderr.startswith('error: there is no recovery point "nothing"\nhint: ')


def test_a_backup_that_nobody_reads_of_is_noted_all_the_same(fresh: Drkit) -> None:
    fresh.change(only("secrets"))
    fresh.change(lambda document: document.update(metrics={"textfile": str(fresh.home / "drkit.prom")}))
    done = shell(fresh, "--verbose backup", "2>&1 | true")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(fresh.sealed()) == 1
    told = fresh.run("status", "--json").envelope["result"]
    assert [(run["verb"], run["exit_code"]) for run in told["runs"] if run["verb"] == "backup"] == [
        ("backup", 0)
    ]
    assert "drkit_last_backup_success" in Path(fresh.home / "drkit.prom").read_text()


def test_names_that_are_no_text(drilled: Drilled) -> None:
    odd = os.fsdecode(b"/nowhere/\xff\x1b[2J.toml")
    ended = drilled.drkit.run("points", config=Path(odd))
    assert ended.code == 4
    assert ended.complaint[0] == "there is no configuration at /nowhere/  [2J.toml"
