"""Periods as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drkit.actions.drills import period
from drkit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", (2026, 1), (2027, 1)),
        ("2026Q1", (2026, 1), (2026, 4)),
        ("2026q4", (2026, 10), (2027, 1)),
        ("2026-02", (2026, 2), (2026, 3)),
        ("2026-12", (2026, 12), (2027, 1)),
    ],
)
def test_start_and_end(text: str, start: tuple[int, int], end: tuple[int, int]) -> None:
    found = period.parse(text)
    assert found.start == datetime(*start, 1, tzinfo=UTC)
    assert found.end == datetime(*end, 1, tzinfo=UTC)
    assert found.name == text.upper()


def test_the_end_belongs_to_the_next() -> None:
    found = period.parse("2026Q3")
    assert found.start in found
    assert found.end - timedelta(microseconds=1) in found
    assert found.end not in found


@pytest.mark.parametrize(
    "text", ["", "2026Q5", "2026Q0", "2026-13", "2026-00", "26Q1", "Q1", "latest", "9999"]
)
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        period.parse(text)
    assert "2026Q4" in caught.value.hint
