"""What a drill comes to, and what it tells its user to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drkit.actions.drill.verdict import decide, judge, sentence
from drkit.errors import DrillError, DrillFailed
from drkit.model import (
    CheckKind,
    CheckResult,
    ControlResult,
    DrillReport,
    Objective,
    Outcome,
    Reason,
    Upgrade,
)

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
GOOD = CheckResult(CheckKind.TABLES, Outcome.PASSED, "seen", 0.1, "registry")
EMPTY = CheckResult(CheckKind.RELATION, Outcome.NOT_PROVABLE, "no robots", 0.1, "robots to project")
BAD = CheckResult(CheckKind.CLOSURE, Outcome.FAILED, "1 blobs missing", 0.1)
STUCK = CheckResult(CheckKind.CLOSURE, Outcome.ERROR, "cannot read", 0.1)
TORN = CheckResult(
    CheckKind.RELATION,
    Outcome.FAILED,
    "1 of 2 tags are without artifact",
    0.1,
    "tags to artifact",
    Reason.AS_IN_PRODUCTION,
)
CAUGHT = ControlResult("flipped byte", True, "one bit", 0.1)
MISSED = ControlResult("emptied link", False, "of nginx: the check said passed", 0.1)


@pytest.mark.parametrize(
    ("checks", "controls", "problems", "outcome"),
    [
        ([GOOD, EMPTY], [CAUGHT], [], Outcome.PASSED),
        ([GOOD, BAD], [CAUGHT], [], Outcome.FAILED),
        ([GOOD, STUCK], [CAUGHT], [], Outcome.ERROR),
        ([GOOD], [CAUGHT, MISSED], [], Outcome.ERROR),
        ([GOOD, BAD], [MISSED], [], Outcome.ERROR),
        ([GOOD], [], [], Outcome.ERROR),
        ([], [CAUGHT], [], Outcome.ERROR),
        ([GOOD], [CAUGHT], ["the sandbox is still there"], Outcome.ERROR),
    ],
)
def test_what_makes_a_drill_pass(
    checks: list[CheckResult], controls: list[ControlResult], problems: list[str], outcome: Outcome
) -> None:
    assert decide(checks, controls, problems) is outcome


def report(*checks: CheckResult, controls: tuple[ControlResult, ...] = (CAUGHT,)) -> DrillReport:
    return DrillReport(
        id="d", site="s", point="p", level="full", outcome=decide(checks, controls, ()), started_at=NOW,
        finished_at=NOW, consistent_at=NOW, checks=checks, controls=controls, stages=(),
        recovery_time_seconds=1.0, recovery_point_age_seconds=1.0, objectives=(), versions={}, host="h",
        report="/r.html",
    )  # fmt: skip


def test_what_is_not_backed_up_is_no_matter_of_another_backup() -> None:
    named = CheckResult(CheckKind.NAMED_FILES, Outcome.FAILED, "1 file", 0.1, reason=Reason.NOT_BACKED_UP)
    with pytest.raises(DrillFailed) as raised:
        judge(report(GOOD, named))
    assert raised.value.message == "point p restores as it was taken, but it lacks what harbor.yml names"
    assert raised.value.hint.startswith("`drkit doctor` says how to correct the configuration; then ")
    with pytest.raises(DrillFailed, match="does not restore whole"):
        judge(report(GOOD, BAD, named))


def test_a_backup_that_is_at_fault_is_to_be_taken_again() -> None:
    with pytest.raises(DrillFailed) as raised:
        judge(report(GOOD, BAD, TORN))
    assert raised.value.message == "point p does not restore whole: closure, relation: tags to artifact"
    assert raised.value.hint == "see /r.html; take a new backup and drill it"


def test_what_could_not_be_tried_is_named_beside_what_is_broken() -> None:
    lost = CheckResult(CheckKind.DATABASE_RESTORE, Outcome.ERROR, "cannot be loaded", 0.0, "registry")
    with pytest.raises(DrillFailed) as raised:
        judge(report(GOOD, BAD, lost))
    said = "point p does not restore whole: closure; no verdict on: restore of database registry"
    assert raised.value.message == said
    with pytest.raises(DrillError) as undecided:
        judge(report(GOOD, lost, controls=(CAUGHT, MISSED)))
    assert undecided.value.message == (
        "the drill came to no verdict: restore of database registry: cannot be loaded; faults planted on"
        " purpose were not caught: emptied link"
    )


def test_what_failed_is_named_where_something_else_keeps_the_drill_from_a_verdict() -> None:
    found = replace(report(GOOD, BAD), outcome=Outcome.ERROR, problems=("the sandbox is still there",))
    with pytest.raises(DrillError) as undecided:
        judge(found)
    said = "the drill came to no verdict: the sandbox is still there; failed: closure"
    assert undecided.value.message == said
    with pytest.raises(DrillError, match="not caught: emptied link; failed: closure"):
        judge(report(GOOD, BAD, controls=(MISSED,)))


def test_a_production_that_was_torn_is_to_be_repaired_first() -> None:
    with pytest.raises(DrillFailed) as raised:
        judge(report(GOOD, TORN))
    assert raised.value.message == (
        "point p restores as it was taken, but production was not whole then: relation: tags to artifact"
    )
    assert raised.value.hint == "repair production, then take a new backup and drill it; see /r.html"


def test_a_fault_that_was_not_caught_is_no_verdict() -> None:
    with pytest.raises(DrillError, match="not caught, so a green would mean nothing: emptied link"):
        judge(report(GOOD, controls=(CAUGHT, MISSED)))


def test_a_production_without_images_is_to_be_looked_at_or_confirmed() -> None:
    lost = CheckResult(CheckKind.PRODUCTION, Outcome.FAILED, "lost", 0.1, reason=Reason.COLLAPSED)
    with pytest.raises(DrillFailed) as raised:
        judge(report(GOOD, EMPTY, lost))
    assert raised.value.message == "nothing about images is proven: lost"
    assert raised.value.hint.endswith("`drkit points --confirm p`, and drill it again")
    with pytest.raises(DrillFailed, match="does not restore whole: closure, images of production"):
        judge(report(BAD, lost))


def test_the_verdict_in_a_sentence() -> None:
    assert sentence(report(GOOD)) == (
        "everything in this recovery point came back in 1.0 s, and every planted fault was caught"
    )
    assert sentence(replace(report(GOOD), level="quick")).startswith("the sample came back in 1.0 s")
    missed = replace(report(GOOD), objectives=(Objective("rto", 0.5, 1.0, False),))
    assert sentence(missed).endswith("caught, but an objective is missed (rto)")
    assert sentence(report(GOOD, BAD)) == "point p does not restore whole: closure"
    assert "were not caught" in sentence(report(GOOD, controls=(replace(CAUGHT, caught=False),)))


def upgraded(check: CheckResult, *controls: ControlResult) -> DrillReport:
    upgrade = Upgrade("v2.15.0", decide([check], controls, ()), (check,), controls)
    return replace(report(GOOD), upgrade=upgrade)


STARTS = CheckResult(CheckKind.HARBOR_START, Outcome.PASSED, "schema 170 migrated to 180", 1.0)


def test_an_upgrade_that_works() -> None:
    good = upgraded(STARTS, CAUGHT)
    judge(good)
    assert sentence(good).endswith("; Harbor v2.15.0 runs on it")


def test_an_upgrade_that_fails_says_nothing_against_the_point() -> None:
    ended = replace(STARTS, outcome=Outcome.FAILED, detail="core ended with exit code 1: no such column")
    found = upgraded(ended)
    with pytest.raises(DrillFailed) as caught:
        judge(found)
    assert caught.value.message == (
        "point p restores whole, but Harbor v2.15.0 does not run on it: Harbor starts:"
        " core ended with exit code 1: no such column"
    )
    assert "do not upgrade production" in caught.value.hint
    assert found.outcome is Outcome.PASSED
    assert "; but Harbor v2.15.0 does not run on it: Harbor starts: core ended" in sentence(found)


@pytest.mark.parametrize(
    ("check", "controls", "why"),
    [
        (replace(STARTS, outcome=Outcome.ERROR, detail="no answer"), (), "Harbor starts: no answer"),
        (STARTS, (MISSED,), "emptied link was not caught"),
        (STARTS, (), "nothing was checked"),
    ],
)
def test_an_upgrade_without_a_verdict(
    check: CheckResult, controls: tuple[ControlResult, ...], why: str
) -> None:
    with pytest.raises(DrillError) as caught:
        judge(upgraded(check, *controls))
    assert caught.value.message == (f"point p restores whole, but Harbor v2.15.0 came to no verdict: {why}")


def test_a_bad_point_comes_before_an_upgrade() -> None:
    both = replace(report(BAD), upgrade=Upgrade("v2.15.0", Outcome.FAILED, (STARTS,)))
    with pytest.raises(DrillFailed, match="does not restore whole"):
        judge(both)
