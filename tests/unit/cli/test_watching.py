"""A result that is shown again and again, and how that ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import typer

from drkit.cli.output import Output
from drkit.cli.watching import watch
from drkit.errors import Interrupted, NotGreen, ToolFailed
from tests.unit.manual.command_line import COMMANDS


def rounds(*what: str | Exception) -> Callable[[], str]:
    """Gives or raises these one after another, and then what Ctrl-C raises."""
    left: Iterator[str | Exception] = iter((*what, Interrupted("interrupted")))

    def work() -> str:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    return work


def show(paper: Output, words: str) -> None:
    paper.print(f"{words} {'well' if paper.succeeded else 'badly'}")


def test_blocks_one_after_another_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    watch(rounds("one", "two"), show, 0)
    assert capsys.readouterr().out == "one well\n\ntwo well\n\n"


def test_what_fails_is_shown_and_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    watch(
        rounds(NotGreen("not green", hint="look", result="red"), ToolFailed("away"), "back"),
        show,
        0,
    )
    said = capsys.readouterr()
    assert said.out == "red badly\n\n\nback well\n\n"
    assert said.err == "error: not green\nhint: look\nerror: away\n"


def drkit(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "drkit", "--config", "/nowhere/drkit.toml", "status", *words]
    return subprocess.run(program, check=False, capture_output=True, text=True, env={**os.environ})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--watch", "--json"], "--watch and --json do not go together"),
        (["--json", "--nagios"], "--nagios and --json do not go together"),
        (["--json", "5"], "SECONDS goes with --watch"),
    ],
)
def test_what_does_not_go_together(words: list[str], message: str) -> None:
    ended = drkit(*words)
    error = json.loads(ended.stdout)["error"]
    assert (ended.returncode, error["kind"], error["message"]) == (2, "usage_error", message)


def test_a_plugin_has_no_exit_code_of_drkits_own() -> None:
    ended = drkit("--nagios")
    assert ended.returncode == 3
    assert ended.stdout.startswith("DRKIT UNKNOWN - there is no configuration at /nowhere/drkit.toml\n")
    assert ended.stderr == ""


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e12", "0"])
def test_intervals_that_no_clock_can_wait_for(seconds: str) -> None:
    with pytest.raises(typer.BadParameter):
        COMMANDS["status"].make_context("status", [seconds, "--watch"])
