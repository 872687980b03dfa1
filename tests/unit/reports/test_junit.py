"""A drill's report for CI servers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from drkit.errors import ConfigError
from drkit.model import CheckKind, CheckResult, ControlResult, DrillReport, Outcome
from drkit.reports import junit
from tests.samples import drill_report

AT = datetime(2026, 11, 1, tzinfo=UTC)


def parsed(report: DrillReport) -> ElementTree.Element:
    return ElementTree.fromstring(junit.render(report))


def counts(report: DrillReport) -> tuple[int, ...]:
    suite = parsed(report)
    return tuple(int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped"))


def check(outcome: Outcome, detail: str = "") -> CheckResult:
    return CheckResult(CheckKind.CLOSURE, outcome, detail, 1.0)


def test_each_outcome_is_its_own_word() -> None:
    report = drill_report("d", AT, checks=tuple(check(outcome) for outcome in Outcome))
    # A test more: the objectives.
    assert counts(report) == (5, 1, 1, 1)


def test_a_fault_that_was_not_caught_is_an_error() -> None:
    caught, missed = ControlResult("a", True, "", 1.0), ControlResult("b", False, "where", 1.0)
    report = drill_report("d", AT, controls=(caught, missed))
    assert counts(report) == (3, 0, 1, 0)
    (error,) = parsed(report).iter("error")
    assert error.attrib["message"] == "not caught: where"


def test_a_missed_objective_fails_and_problems_are_errors() -> None:
    report = replace(drill_report("d", AT, rto_met=False), problems=("the sandbox is still there",))
    assert counts(report) == (1, 1, 1, 0)


def test_what_xml_cannot_hold_is_left_out() -> None:
    report = drill_report("d", AT, checks=(check(Outcome.FAILED, 'a\x00b<&">\ud800'),))
    (failure,) = parsed(report).iter("failure")
    assert failure.attrib["message"] == 'a?b<&">?'


def test_an_earlier_drill_is_never_taken_for_one_that_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    junit.write(drill_report("earlier", AT), file)
    junit.begin(file)
    assert file.read_text() == ""


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        junit.write(drill_report("d", AT), tmp_path / "none" / "report.xml")
