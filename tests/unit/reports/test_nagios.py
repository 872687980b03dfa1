"""What Nagios reads: one line, performance data behind a bar, an exit code of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from drkit.errors import ConfigError
from drkit.model import Problem, ProblemKind
from drkit.reports import nagios
from tests.samples import status

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def test_what_is_not_green_is_critical() -> None:
    said = nagios.answer(status(NOW))
    assert said.code == 2
    first, *more = said.text.splitlines()
    assert first == (
        "DRKIT CRITICAL - registry.example.com is not green: rto missed, 1 problem;"
        " the last drill took longer than the objective allows"
        f" | rpo=14400s;;86400;0 rto=4000s;;3600;0 drill=172800s;;7776000;0 points=7;;;0 size={41 << 30}B;;;0"
        " problems=1;;0;0 warnings=1;0;;0"
    )
    assert more == [
        "problem: the last drill took longer than the objective allows",
        "warning: 1 incomplete recovery point",
    ]


def test_green_with_something_to_look_at_is_a_warning() -> None:
    found = replace(status(NOW), green=True, objectives=())
    warned = replace(found, findings=found.findings[1:])
    assert nagios.answer(warned).code == 1
    assert nagios.answer(warned).text.startswith(
        "DRKIT WARNING - registry.example.com is green, with 1 warning;"
    )
    fine = nagios.answer(replace(found, findings=()))
    assert (fine.code, fine.text.split(" | ")[0]) == (0, "DRKIT OK - registry.example.com is green")


def test_nothing_that_a_name_holds_begins_another_line_or_the_data() -> None:
    odd = Problem(ProblemKind.KEY_LOST, "the key /data/a|b\nOK is gone")
    said = nagios.answer(replace(status(NOW), findings=(odd,)))
    first, *more = said.text.splitlines()
    assert first.count("|") == 1
    assert more == ["problem: the key /data/a/b OK is gone"]


def test_what_was_never_measured_has_no_data() -> None:
    found = status(NOW)
    never = replace(found, objectives=(replace(found.objectives[0], actual_seconds=None, met=False),))
    assert "rpo=" not in nagios.answer(never).text


def test_what_could_not_be_looked_at_is_unknown() -> None:
    said = nagios.unknown(ConfigError("there is no configuration at /nope", hint="make one"))
    assert (said.code, said.text) == (3, "DRKIT UNKNOWN - there is no configuration at /nope\nmake one")
