"""What the counts of a relation mean, and what is said of them."""

from __future__ import annotations

import pytest

from drkit.checks.relations import judge
from drkit.harbor import inventory, wording
from drkit.harbor.relations import RELATIONS, Relation
from drkit.model import Outcome, RelationEvidence

TAGS = next(relation for relation in RELATIONS if relation.name == "tags to repository")
REPORTS = next(relation for relation in RELATIONS if relation.name == "scan reports to artifact")


def counts(relation: Relation, rows: int, lost: int = 0, litter: int = 0) -> RelationEvidence:
    return RelationEvidence(relation.name, rows, lost, litter, "repository_id 17" if lost else "")


def test_names_are_unique() -> None:
    assert len({relation.name for relation in RELATIONS}) == len(RELATIONS)


def test_what_holds_is_told_with_its_number() -> None:
    finding = judge(TAGS, counts(TAGS, 12_004), None)
    assert finding.outcome is Outcome.PASSED
    assert finding.detail == "12,004 tags, each with its repository"


def test_a_foreign_key_is_told_as_what_has_checked() -> None:
    finding = judge(TAGS, counts(TAGS, 3), None, guarded=True)
    assert finding.outcome is Outcome.PASSED
    assert finding.detail.endswith(": a foreign key, which PostgreSQL checked while it was restored")


def test_nothing_to_look_at_is_no_pass() -> None:
    finding = judge(TAGS, counts(TAGS, 0), None)
    assert finding.outcome is Outcome.NOT_PROVABLE
    assert finding.detail == "no tags: there is nothing to look at"


def test_litter_is_a_number_and_no_failure() -> None:
    finding = judge(REPORTS, counts(REPORTS, 40, litter=3), None)
    assert finding.outcome is Outcome.PASSED
    said = "40 scan reports; 3 of them without artifact, as is normal"
    assert finding.detail == said


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (None, ""),
        (2, "; production was torn in the same way when this point was taken: repair it there"),
        (0, "; when this point was taken it was 0"),
    ],
)
def test_torn_rows_fail_and_it_is_told_since_when(then: int | None, said: str) -> None:
    finding = judge(TAGS, counts(TAGS, 120, 2), None if then is None else counts(TAGS, 120, then))
    assert finding.outcome is Outcome.FAILED
    assert finding.detail == f"2 of 120 tags are without repository (repository_id 17, for one){said}"


def test_a_relation_that_another_drkit_measured_is_told_by_its_name() -> None:
    assert (
        wording.relation(RelationEvidence("moons to planet", 3, 1, 0)) == "moons to planet: 1 of 3 are torn"
    )


def test_what_comes_out_of_a_database_cannot_steer_a_terminal() -> None:
    assert wording.printable("jane\x1b[2J\nroot") == "jane?[2J?root"
    assert wording.printable("x" * 200) == "x" * 157 + "..."


@pytest.mark.parametrize(
    ("count", "said"), [(0, "no robots"), (1, "1 robot"), (2, "2 robots"), (12_004, "12,004 robots")]
)
def test_counts_are_told_as_people_do(count: int, said: str) -> None:
    assert inventory.counted(count, "robot") == said
