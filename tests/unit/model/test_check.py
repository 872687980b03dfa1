"""What is known of a check, and how it goes to JSON and back."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from drkit.model import CheckKind, CheckResult, Outcome, Reason
from drkit.reports.jsonable import jsonable


@pytest.mark.parametrize("kind", CheckKind)
def test_every_kind_has_a_name_for_people(kind: CheckKind) -> None:
    assert CheckResult(kind, Outcome.PASSED, "seen", 0.1, "registry").name


def test_its_kind_subject_and_reason_stand_in_the_json_beside_its_name() -> None:
    check = CheckResult(CheckKind.SCHEMA, Outcome.FAILED, "dirty", 0.1, "registry", Reason.AS_IN_PRODUCTION)
    document = jsonable(check)
    assert document == {
        "name": "schema of registry",
        "kind": "schema",
        "outcome": "failed",
        "detail": "dirty",
        "seconds": 0.1,
        "subject": "registry",
        "reason": "as_in_production",
    }
    adapter = TypeAdapter(CheckResult)
    assert adapter.validate_json(json.dumps(document), strict=False) == check
    assert adapter.validate_json(adapter.dump_json(check)) == check
