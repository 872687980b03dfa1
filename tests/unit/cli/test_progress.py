"""Progress: drawn on a terminal, told in lines elsewhere, and never in the way of the work."""

from __future__ import annotations

import io
import logging
import re
import sys
import time
from collections.abc import Iterator

import pytest

from drkit import logs
from drkit.cli.progress import Watcher
from drkit.progress import Update, question
from tests.unit.tools.living import soon

PATH = "/srv/harbor/data/registry"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Gone(io.StringIO):
    """A reader that has gone, or a terminal that hung up."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def at_once(stream: io.StringIO, command: str) -> Watcher:
    """Tells of everything, however short it is."""
    return Watcher(stream, command, patience=0.0, between_lines=0.0)


@pytest.fixture(autouse=True)
def a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    root = logging.getLogger("drkit")
    before = root.handlers, root.propagate, root.level
    logs.set_up("test")
    yield root
    root.handlers, root.propagate = before[0], before[1]
    root.setLevel(before[2])


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_lines_where_no_terminal_is() -> None:
    stream = io.StringIO()
    with at_once(stream, "backup") as watcher:
        watcher(Update(PATH, 1 << 30, 1 << 31, "bytes"))
        watcher(Update("closure"))
        watcher(Update(PATH, finished=True))
    assert stream.getvalue() == f"{PATH}: 1.0 GiB of 2.0 GiB\nclosure: under way\n"


@pytest.mark.parametrize("width", [20, 40, 65, 80, 200])
def test_bars_never_wrap(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = _Terminal()
    with at_once(stream, "backup") as watcher:
        for step in range(1, 4):
            watcher(Update(PATH * 5, step * 10_000_000_000, 1 << 40, "bytes"))
            watcher(Update("copying blobs to the vault", step * 1000, 5_000_000, "items"))
            watcher(Update("closure"))
            time.sleep(0.12)
    for line in re.split(r"[\r\n]+", plain(stream.getvalue())):
        assert len(line) <= width, line
    assert stream.getvalue().rstrip().endswith(("\x1b[2K", "\x1b[?25h")), "what was drawn is gone"


def test_how_far_how_fast_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = _Terminal()
    with at_once(stream, "backup") as watcher:
        for step in range(4):
            watcher(Update(PATH, step << 30, 1 << 40, "bytes"))
            time.sleep(0.15)
        line = re.compile(r"3\.0 GiB of 1\.0 TiB +[\d.]+ [GMK]iB/s +[\d:]+ left")
        assert soon(lambda: line.search(plain(stream.getvalue())) is not None)


def test_what_reports_nothing_is_seen_to_be_under_way() -> None:
    stream = _Terminal()
    with at_once(stream, "verify"):
        assert soon(lambda: "verify" in plain(stream.getvalue()))


def test_nothing_is_drawn_over_a_question() -> None:
    stream = _Terminal()
    with at_once(stream, "drill") as watcher:
        watcher(Update("find the point"))
        with question():
            before = stream.getvalue()
            watcher(Update("find the point"))
            time.sleep(0.2)
            assert stream.getvalue() == before
        watcher(Update("checks"))
        assert soon(lambda: "checks" in plain(stream.getvalue()[len(before) :]))


def test_lines_of_the_log_stand_above_the_bars_in_one_piece(log: logging.Logger) -> None:
    stream = _Terminal()
    with at_once(stream, "backup") as watcher:
        watcher(Update(PATH, 1, 2, "bytes"))
        log.warning("see %s", "/a/long/path" * 12)
    assert f"see {'/a/long/path' * 12}\n" in plain(stream.getvalue())


def test_the_log_goes_to_stderr_again_afterwards(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    with at_once(_Terminal(), "backup") as watcher:
        watcher(Update(PATH))
    log.warning("afterwards")
    assert "afterwards" in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_the_work_goes_on_when_nobody_can_be_told(
    terminal: bool, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = _Gone(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with at_once(stream, "backup") as watcher:
        watcher(Update(PATH, 1, 2, "bytes"))
        log.warning("to nobody")
        watcher(Update(PATH, finished=True))
