"""The Grafana dashboard: what it asks for exists, in a language that Prometheus understands."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from drkit.reports.metrics import render
from tests.needs import program
from tests.samples import status

BOARD = json.loads((Path(__file__).parents[3] / "deploy" / "grafana" / "drkit.json").read_text())
NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
# What Prometheus itself gives each series.
SCRAPED = {"instance", "job"}


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target


def labels() -> dict[str, set[str]]:
    """Metric -> its labels, of a site of which everything is known."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(render(status(NOW))):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_each_metric_and_label_exists() -> None:
    known = labels()
    for title, target in targets():
        names = re.findall(r"\bdrkit_\w+", target["expr"])
        assert names, title
        for name in names:
            assert name in known, f"{title}: {name}"
        wanted = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        wanted += re.findall(r'(\w+)(?:=~|=)"', target["expr"])
        for label, name in itertools.product(wanted, names):
            assert label in known[name], f"{title}: {name} has no {label}"
    site = next(each for each in BOARD["templating"]["list"] if each["name"] == "site")
    assert re.findall(r"drkit_\w+", site["query"]["query"]) == ["drkit_green"]


def test_each_query_is_one_that_prometheus_understands(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": target["expr"].replace("$site", ".*")}
        for number, (_, target) in enumerate(targets())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    ran = subprocess.run(
        [program("promtool"), "check", "rules", file], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_it_is_put_together_as_grafana_wants_it() -> None:
    panels = BOARD["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert not taken & cells, f"{panel['title']} lies over another panel"
        taken |= cells
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
    sources = re.findall(r'"uid": "([^"]+)"', json.dumps(BOARD))
    assert set(sources) == {"drkit", "${datasource}"}, "whichever Prometheus there is"
