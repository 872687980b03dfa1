"""What the virtual machine tells, and what is made of it: only what ran and held is good."""

from __future__ import annotations

from typing import Any

import pytest

from testenv.machine.verdict import Verdict, spoken

NAME = "tests/vm/case_lvm.py::test_a_frozen_view[thin-xfs]"


def told(*lines: dict[str, Any]) -> Verdict:
    verdict = Verdict()
    for line in lines:
        verdict.take(line)
    return verdict


def case(outcome: str, why: str = "") -> dict[str, Any]:
    return {"case": NAME, "outcome": outcome, "seconds": 1.5, "why": why}


def test_a_case_is_told_in_words() -> None:
    assert spoken(NAME) == "lvm: a frozen view [thin-xfs]"
    assert Verdict().take(case("passed")) == "held        lvm: a frozen view [thin-xfs] (2 s)"
    said = Verdict().take(case("failed", "assert 1 == 2"))
    assert said == "FAILED      lvm: a frozen view [thin-xfs] (2 s): assert 1 == 2"
    assert Verdict().take(case("skipped")).startswith("DID NOT RUN")


def test_all_ran_and_held() -> None:
    assert told({"planned": [NAME]}, case("passed"), {"ended": 0}).faults == []


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([], "no case ran"),
        ([{"planned": []}, {"ended": 0}], "no case ran"),
        ([{"planned": [NAME]}, {"ended": 0}], "lvm: a frozen view [thin-xfs]: told nothing"),
        ([{"planned": [NAME]}, case("skipped"), {"ended": 0}], "lvm: a frozen view [thin-xfs]: skipped"),
        ([{"planned": [NAME]}, case("failed"), {"ended": 1}], "lvm: a frozen view [thin-xfs]: failed"),
        ([{"planned": [NAME]}, case("passed"), {"ended": 1}], "the machine ended with 1"),
        ([{"planned": [NAME]}, case("passed")], "the machine ended without saying how its cases ended"),
    ],
)
def test_anything_less_is_a_fault(lines: list[dict[str, Any]], fault: str) -> None:
    assert fault in told(*lines).faults


def test_what_fails_afterwards_fails_the_case() -> None:
    """A case that left something behind passes first, and fails when it is cleared away."""
    assert told({"planned": [NAME]}, case("passed"), case("failed"), {"ended": 1}).outcomes == {
        NAME: "failed"
    }
    assert told({"planned": [NAME]}, case("failed"), case("passed"), {"ended": 1}).outcomes == {
        NAME: "failed"
    }
