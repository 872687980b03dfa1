"""The status of a site on a screen of 80 columns and 40 lines."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drkit.cli.output import Output
from drkit.cli.views.status import status as show
from drkit.model import Status
from tests.samples import status

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


class Terminal(io.StringIO):
    """What takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def screen(found: Status, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    show(Output(stream), found)
    return stream.getvalue().splitlines()


def test_a_site_fits_on_a_screen_and_no_id_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    found = status(NOW)
    lines = screen(found, monkeypatch)
    assert len(lines) <= 38, "two more lines tell of the error"
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert found.newest_point in text.split()
    assert found.certificates[0].path in text.split()


def test_the_first_line_is_the_verdict_and_the_next_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    found = status(NOW)
    first, *rest = screen(found, monkeypatch)
    assert first == ("registry.example.com is not green: rto missed, 1 problem")
    assert rest[:4] == [
        "problem: the last drill took longer than the objective allows",
        "  -> make the slow stages faster, or run `drkit drill` again",
        "warning: 1 incomplete recovery point",
        "  -> the next backup removes it",
    ]
    fine = replace(found, green=True, findings=found.findings[1:], objectives=())
    assert screen(fine, monkeypatch)[0] == "registry.example.com is green, with 1 warning"


def test_what_cannot_be_read_or_was_never_drilled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line.split() for line in screen(status(NOW), monkeypatch)]
    assert ["offsite", "cannot", "be", "read", "?", "missed", "(2", "d)", "?"] in lines
    assert [*lines[-4][-4:]] == ["secrets", "in", "no", "point"]
    assert ["full", "offsite", "unknown", "-", "-", "-"] in lines
    assert any(line[:3] == ["quick", "primary", "failed"] for line in lines)


def test_of_a_primary_that_cannot_be_read_nothing_is_called_never(monkeypatch: pytest.MonkeyPatch) -> None:
    found = status(NOW)
    primary, offsite = found.repositories
    objectives = tuple(replace(each, actual_seconds=None, met=False) for each in found.objectives)
    gone = replace(
        primary, points=None, newest_point=None, last_full_drill=None, last_quick_drill=None, reread=()
    )
    unknown = replace(found, repositories=(gone, offsite), objectives=objectives)
    lines = screen(unknown, monkeypatch)
    told = [line for line in lines if "never" in line]
    assert told == [line for line in told if "never ran here" in line]
    assert sum("unknown" in line for line in lines) == 3 + 2
    assert not any(line.startswith(("size", "sources")) for line in lines)
