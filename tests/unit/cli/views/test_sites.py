"""Many sites in one table."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from drkit.cli.output import Output
from drkit.cli.views import sites as show
from drkit.model.sites import SiteLine, Sites, SiteState

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
BROKEN = SiteLine("/sites/b.toml", "b", SiteState.UNKNOWN, 4, "config_error", "it is no TOML")
FINE = SiteLine("/sites/a.toml", "a", SiteState.GREEN, 0, newest_point_at=NOW - DAY)
RED = SiteLine(
    "/sites/c.toml", "c", SiteState.RED, 5, newest_point_at=NOW - 2 * DAY,
    last_passed_drill_at=NOW - 40 * DAY,
    red=("the newest recovery point is too old", "another"), warnings=("a warning",),
)  # fmt: skip


def test_a_line_for_each_and_the_verdict_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    stream = io.StringIO()
    show.sites(Output(stream), Sites("/sites", NOW, (BROKEN, RED, FINE)))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "2 of 3 sites not green: 1 unknown, 1 not green"
    rows = [line.split() for line in lines]
    assert ["b", "unknown", "?", "?", "?", "?", "it", "is", "no", "TOML"] in rows
    assert ["a", "green", "1", "d", "ago", "never", "0", "0"] in rows
    assert any(row[:9] == ["c", "not", "green", "2", "d", "ago", "40", "d", "ago"] for row in rows)


def test_all_are_green() -> None:
    assert show.verdict(Sites("/sites", NOW, (FINE,))) == "1 site, which is green"
    assert show.verdict(Sites("/sites", NOW, (FINE, FINE))) == "all 2 sites are green"
