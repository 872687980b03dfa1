"""Metrics of many sites at once: one file for a host that looks at all of them.

Their names are others than those that each site writes itself, so that both may be collected.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from drkit.model.sites import SiteLine, Sites, SiteState, is_good


def render(found: Sites) -> str:
    """What each has said of itself, in Prometheus's text format."""
    registry = CollectorRegistry()
    written = Gauge("drkit_sites_written_timestamp_seconds", "When all were looked at.", registry=registry)
    written.set(found.at.timestamp())
    gauges = {
        name: Gauge(f"drkit_sites_{name}", says, ["site", "file"], registry=registry)
        for name, says in _SAYS.items()
    }
    states = Gauge(
        "drkit_sites_state",
        "1 for the state that a site is in, 0 for the others.",
        ["site", "file", "state"],
        registry=registry,
    )
    for each in found.sites:
        for name, value in _values(each).items():
            gauges[name].labels(each.site, each.file).set(value)
        for state in SiteState:
            states.labels(each.site, each.file, state.value).set(float(each.state is state))
    return generate_latest(registry).decode("utf-8")


_SAYS = {
    "green": "1 if the site's own `drkit status` ends with 0.",
    "exit_code": "What the site's own `drkit status` ends with.",
    "newest_point_timestamp_seconds": "When its newest sealed point is consistent; 0 if none is known.",
    "last_proof_timestamp_seconds": "When a full drill last passed; 0 if none is known.",
    "red_problems": "How many of its problems are red.",
    "warnings": "How many of its problems are not.",
    "look_seconds": "How long it took to look at it.",
}


def _values(each: SiteLine) -> dict[str, float]:
    newest, drill = each.newest_point_at, each.last_passed_drill_at
    return {
        "green": float(is_good(each.state)),
        "exit_code": each.exit_code,
        "newest_point_timestamp_seconds": newest.timestamp() if newest else 0.0,
        "last_proof_timestamp_seconds": drill.timestamp() if drill else 0.0,
        "red_problems": len(each.red),
        "warnings": len(each.warnings),
        "look_seconds": each.seconds,
    }
