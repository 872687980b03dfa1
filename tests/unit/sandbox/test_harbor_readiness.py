"""Whether Harbor is started at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import pytest

from drkit import config
from drkit.errors import DrillError
from drkit.model import DatabaseEvidence, DatabaseShape, PointManifest, Statement
from drkit.sandbox.harbor import readiness
from tests.samples import manifest

NOW = datetime(2026, 11, 24, tzinfo=UTC)
EVIDENCE = DatabaseEvidence(
    "registry",
    DatabaseShape("registry", "postgres", "UTF8", "libc", "C", "C"),
    150_000,
    {},
    (),
    harbor_schema=170,
)


def point(evidence: DatabaseEvidence = EVIDENCE) -> PointManifest:
    return replace(manifest("p", NOW), databases=(evidence,))


def settings(harbor: Literal["auto", "required", "off"]) -> config.Drill:
    return config.Drill(harbor=harbor)


@pytest.mark.parametrize("harbor", ["auto", "required", "off"])
def test_a_quick_drill_stays_quick(harbor: Literal["auto", "required", "off"]) -> None:
    """Also where Harbor is required: that is of full drills."""
    found = readiness.look(settings(harbor), point(), "quick", None)
    assert isinstance(found, Statement)
    assert found.said.startswith("it was not started: a quick drill does not start it; ")


def test_where_it_is_off() -> None:
    found = readiness.look(settings("off"), point(), "full", None)
    assert isinstance(found, Statement)
    assert found.said.startswith("it was not started: harbor in [drill] is off; ")


def test_what_is_required_and_cannot_be_is_an_error() -> None:
    """This point has no images and no secrets."""
    with pytest.raises(DrillError, match="Harbor cannot be started: images or secrets are not in this point"):
        readiness.look(settings("required"), point(), "full", None)


def test_where_there_is_no_harbor_there_is_nothing_to_say() -> None:
    plain = replace(EVIDENCE, harbor_schema=None)
    assert readiness.look(settings("required"), point(plain), "full", None) is None
