"""Periods of the calendar as people write them; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from drkit.errors import UsageError

_FORM = re.compile(r"(\d{4})(?:Q([1-4])|-(\d{2}))?", re.ASCII)


@dataclass(frozen=True)
class Period:
    """A stretch of time in UTC, from `start` up to `end`, and how it was written."""

    name: str
    start: datetime
    end: datetime

    def __contains__(self, when: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.start <= when < self.end


def parse(text: str) -> Period:
    """`2026`, `2026Q4` or `2026-11`; raises UsageError for anything else."""
    found = _FORM.fullmatch(text.strip().upper())
    year = int(found[1]) if found else 0
    month = int(found[3]) if found and found[3] else 1
    if not found or not 1 <= month <= 12 or not 1970 <= year <= 9998:
        raise UsageError(f"{text!r} is no period", hint="write it as 2026, 2026Q4 or 2026-11")
    months = 1 if found[3] else 3 if found[2] else 12
    first = (int(found[2]) - 1) * 3 if found[2] else month - 1
    after = first + months
    return Period(
        found[0],
        datetime(year, first + 1, 1, tzinfo=UTC),
        datetime(year + after // 12, after % 12 + 1, 1, tzinfo=UTC),
    )
