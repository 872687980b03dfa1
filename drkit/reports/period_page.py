"""A period's drills as one page for the auditor: no script, nothing fetched from elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drkit.reports.text import templates
from drkit.reports.units import counted, duration, size

PAGE = "drills.html"
DATA = "drills.json"


def render(period: dict[str, Any]) -> str:
    """The page, from a PeriodReport as plain JSON."""
    environment = templates(
        duration=duration, size=size, counted=counted, utc=_utc, day=lambda text: _utc(text)[:10]
    )
    return environment.get_template("period.html").render(period=period)


def _utc(text: str | None) -> str:
    """A time as an auditor wants it, the same on every machine: `2026-11-30 02:00 UTC`."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC" if text else "never"
