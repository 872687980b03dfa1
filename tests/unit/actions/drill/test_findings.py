"""What stays of a drill of which something went wrong on the way."""

from __future__ import annotations

from drkit.actions.drill.findings import Findings
from drkit.actions.drill.verdict import decide
from drkit.errors import ToolFailed
from drkit.model import CheckKind, CheckResult, ControlResult, Outcome
from drkit.sandbox.harbor.trial import Trial

GOOD = CheckResult(CheckKind.CLOSURE, Outcome.PASSED, "all there", 0.1)
BAD = CheckResult(CheckKind.BLOBS, Outcome.FAILED, "1 fault", 0.1)
CAUGHT = [ControlResult("flipped byte", True, "one bit", 0.1)]


def stuck() -> list[CheckResult]:
    raise ToolFailed("no answer")


def test_a_lost_part_is_an_error_and_the_others_verdicts_stay() -> None:
    found = Findings(Trial())
    found.add({"database registry": ToolFailed("cannot be loaded")}, {"images": lambda: [GOOD]})
    assert [(check.name, check.outcome, check.detail) for check in found.checks] == [
        ("restore of database registry", Outcome.ERROR, "cannot be loaded"),
        ("closure", Outcome.PASSED, "all there"),
    ]
    assert found.problems == []
    assert decide(found.checks, CAUGHT, found.problems) is Outcome.ERROR


def test_what_is_broken_is_broken_whatever_else_could_not_be_tried() -> None:
    found = Findings(Trial())
    found.add({"secrets": ToolFailed("no identity")}, {"images": lambda: [BAD]})
    assert [check.name for check in found.checks] == ["restore of secrets", "blobs hash to their names"]
    assert decide(found.checks, CAUGHT, found.problems) is Outcome.FAILED


def test_a_group_that_breaks_off_is_a_problem_and_costs_no_other_its_verdicts() -> None:
    found = Findings(Trial())
    found.add({}, {"database registry": stuck, "images": lambda: [GOOD]})
    assert found.checks == (GOOD,)
    assert found.problems == ["check database registry: no answer"]
    assert decide(found.checks, CAUGHT, found.problems) is Outcome.ERROR
