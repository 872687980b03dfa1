"""Metrics of many sites, read back by Prometheus's own parser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from drkit.model.sites import SiteLine, Sites, SiteState
from drkit.reports.site_metrics import render

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def test_each_site_has_its_values() -> None:
    drilled = NOW - timedelta(days=9)
    red = SiteLine(
        "/s/a.toml", "a", SiteState.RED, 5, newest_point_at=NOW, last_passed_drill_at=drilled,
        red=("x", "y"), warnings=("z",), seconds=1.5,
    )  # fmt: skip
    broken = SiteLine("/s/b.toml", "b", SiteState.UNKNOWN, 4)
    text = render(Sites("/s", NOW, (broken, red)))
    found = {
        (sample.name.removeprefix("drkit_sites_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert {name for name, *_ in found} == {
        "written_timestamp_seconds", "green", "exit_code", "newest_point_timestamp_seconds",
        "last_proof_timestamp_seconds", "red_problems", "warnings", "look_seconds", "state",
    }  # fmt: skip
    assert found["written_timestamp_seconds",] == NOW.timestamp()
    assert [found[name, "/s/a.toml", "a"] for name in ("green", "exit_code", "red_problems", "warnings")] == [
        0, 5, 2, 1,
    ]  # fmt: skip
    assert found["last_proof_timestamp_seconds", "/s/a.toml", "a"] == drilled.timestamp()
    unknown = ("green", "exit_code", "last_proof_timestamp_seconds")
    assert [found[name, "/s/b.toml", "b"] for name in unknown] == [0, 4, 0]
    assert [found["state", "/s/b.toml", "b", state.value] for state in SiteState] == [1, 0, 0, 0, 0]
