"""What a drill proved and what it could not, in a few lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from drkit.model import (
    CheckKind,
    CheckResult,
    ControlResult,
    DatabaseEvidence,
    DatabaseShape,
    DrillReport,
    LargeObjects,
    Outcome,
    Part,
    Reason,
    TableEvidence,
    Unplanted,
)
from drkit.reports import page, statements
from tests.samples import manifest

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
SHAPE = DatabaseShape("registry", "postgres", "UTF8", "libc", "C", "C")
TABLES = (
    TableEvidence("public", "audit_log", 1_000_000, None),
    TableEvidence("public", "tag", 120, "-17"),
)
EVIDENCE = DatabaseEvidence(
    "registry",
    SHAPE,
    150_012,
    {"plpgsql": "1.0"},
    TABLES,
    harbor_schema=170,
    large_objects=LargeObjects(2, None),
)


def check(
    kind: CheckKind,
    subject: str = "",
    outcome: Outcome = Outcome.PASSED,
    detail: str = "seen",
    reason: Reason | None = None,
) -> CheckResult:
    return CheckResult(kind, outcome, detail, 0.5, subject, reason)


CHECKS = (
    check(CheckKind.TABLES, "registry"),
    check(CheckKind.RELATION, "tags to artifact", detail="120 tags", reason=Reason.FOREIGN_KEY),
    check(CheckKind.RELATION, "tags to repository"),
    check(CheckKind.RELATION, "reports", detail="40 reports", reason=Reason.LITTER),
    check(CheckKind.RELATION, "robots", Outcome.NOT_PROVABLE, "no robots"),
    check(CheckKind.RELATION, "quotas", Outcome.FAILED, "2 of 3 quotas are without usage"),
    check(CheckKind.INVENTORY, "users", detail="187 users"),
    check(CheckKind.INVENTORY, "robots", Outcome.FAILED, "no robots; at the backup: 3 robots"),
    check(CheckKind.SECRET_KEY, "", Outcome.NOT_PROVABLE, "nothing is encrypted"),
)


def test_relations_that_hold_are_one_line_and_a_failure_is_its_own() -> None:
    folded = statements.fold(CHECKS)
    assert [line.name for line in folded] == [
        "tables of registry",
        "relations",
        "relation: quotas",
        "inventory: robots",
    ]
    assert folded[1].detail == (
        "3 kinds of rows refer only to what is there, 1 of them by a foreign key, "
        "and in 1 some to nothing, as is normal"
    )
    assert folded[1].seconds == 1.5


def test_only_what_is_as_it_was_came_back() -> None:
    assert [(one.subject, one.said) for one in statements.came_back(CHECKS)] == [("users", "187 users")]


def test_everything_that_was_not_proved_is_told_with_its_reason() -> None:
    parts = (Part("database", "registry", "s", "/registry.dump", 1, 1, 1.0),)
    point = replace(manifest("p", NOW), parts=parts, databases=(EVIDENCE,))
    said = statements.unproved(point, CHECKS, [Unplanted("flipped byte", "no blob was restored")], "full")
    assert [(one.subject, one.said) for one in said] == [
        ("no images", "none is in this point, so nothing is known of them"),
        ("no secrets", "none is in this point, so nothing is known of them"),
        ("content of tables of registry", "as configured, these were only counted: public.audit_log"),
        ("content of large objects of registry", "2 were counted; the backup's user may not read them"),
        ("relations without rows", "robots"),
        ("secret key", "nothing is encrypted"),
        ("that flipped byte would be caught", "no blob was restored"),
    ]


def test_a_quick_drill_does_not_speak_for_all_images() -> None:
    parts = (Part("blobs", "blobs", "s", "/data", 1, 1, 1.0),)
    said = statements.unproved(replace(manifest("p", NOW), parts=parts), [], [], "quick")
    assert "all other images" in {one.subject for one in said}


def test_a_server_and_what_was_looked_at() -> None:
    database = statements.summary(EVIDENCE)
    assert (
        statements.server(database) == "PostgreSQL 15.12, Harbor 2.14.0 (schema 170), extensions plpgsql 1.0"
    )
    assert statements.coverage(database) == (
        "2 tables, 1,000,120 rows, 1 only counted: public.audit_log, 2 large objects"
    )


def test_the_page_tells_what_is_wrong_first_and_takes_nothing_for_markup() -> None:
    report = DrillReport(
        id="d", site="registry.example.com", point="p", level="full", outcome=Outcome.FAILED,
        started_at=NOW, finished_at=NOW, consistent_at=NOW, checks=CHECKS,
        controls=(ControlResult("flipped byte", False, "one bit of <b>", 0.1),), stages=(),
        recovery_time_seconds=None, recovery_point_age_seconds=3.0, objectives=(), versions={}, host="host",
        unplanted=(Unplanted("emptied link", "no repository has a link"),),
        databases=(statements.summary(EVIDENCE),),
    )  # fmt: skip
    text = page.render(report, "all is well", signed=False)
    order = [
        "What is wrong",
        "2 of 3 quotas",
        "What was proved",
        "What could not be proved",
        "Planted faults",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "one bit of &lt;b&gt;" in text
    assert "not planted" in text
    assert "counted only" in text
    assert "://" not in text, "nothing is fetched from elsewhere"
