"""Sources, sizes, certificates and next runs as points and the schedule tell of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit import config
from drkit.actions.status import ahead, of_sources
from drkit.actions.status.judge import judge
from drkit.config import Schedule
from drkit.model import CertificateFacts, Part, PartKind, Point, Problem, ProblemKind
from tests.samples import incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    file = tmp_path / "drkit.toml"
    file.write_text(
        f"""
        [site]
        name = "registry.example.com"
        state = "{tmp_path}"
        [[database]]
        name = "registry"
        dsn = "host=/run dbname=registry"
        [secrets]
        paths = ["/data/secret"]
        recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
        [objectives]
        rpo = "24h"
        [[repository]]
        name = "primary"
        url = "/repository"
        password_file = "{tmp_path}/password"
        """
    )
    return config.load_config(file)


def part(kind: PartKind, name: str, size: int) -> Part:
    return Part(kind, name, "s", "/p", size, size // 10, 2.5)


def point(name: str, at: datetime, *parts: Part) -> Point:
    found = sealed(name, at)
    assert found.manifest
    return replace(found, manifest=replace(found.manifest, parts=parts))


def test_a_source_counts_from_the_newest_point_that_has_it(settings: config.Config) -> None:
    """What is backed up no more is as old as it is, and what never was is not fine."""
    old = point("old", NOW - 3 * DAY, part("database", "registry", 100), part("blobs", "blobs", 5000))
    new = point("new", NOW - DAY, part("blobs", "blobs", 7000), part("digests", "digests", 10))
    found = of_sources.sources(settings, [new, old])
    assert [(s.kind, s.name, s.point, s.captured_at, s.bytes, s.added_bytes) for s in found] == [
        ("database", "registry", "old", NOW - 3 * DAY, 100, 10),
        ("secrets", "secrets", None, None, 0, 0),
        ("images", "images", "new", NOW - DAY, 7000, 700),
    ]
    assert {s.point for s in of_sources.sources(settings, [])} == {None}


def test_growth_is_that_of_a_season() -> None:
    ages = (1, 8, 15, 400)
    points = [point(f"p{age}", NOW - age * DAY, part("blobs", "b", 10_000 - 100 * age)) for age in ages]
    found = of_sources.sizes(points, NOW)
    assert (found.bytes, found.added_last_week) == (9900, 990)
    assert found.growth_per_week == pytest.approx(700)
    assert of_sources.sizes(points[:1], NOW).growth_per_week is None
    assert of_sources.sizes(points[3:], NOW).bytes == 10_000 - 40_000
    assert of_sources.sizes([], NOW).bytes == 0


def test_certificates_are_the_newest_points_the_first_to_expire_first() -> None:
    facts = [CertificateFacts(f"/c{n}", "CN=x", "CN=y", (), NOW, NOW + n * DAY, False) for n in (9, 3)]
    newest = sealed("p", NOW)
    assert newest.manifest
    newest = replace(newest, manifest=replace(newest.manifest, certificates=tuple(facts)))
    assert [each.path for each in of_sources.certificates([newest])] == ["/c3", "/c9"]
    assert of_sources.certificates([]) == ()


def test_the_next_runs_and_the_weeks_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Schedule(drill="0 5 * * 0", backup="0 */12 * * *", timezone="Europe/Berlin")
    found = ahead.next_runs(jobs, "site", NOW)
    assert [run.job for run in found] == ["backup", "drill"]
    assert all(NOW < run.at < NOW + 7 * DAY for run in found)
    days = ahead.days(jobs, "site", NOW, 14 * DAY)
    assert sum(days["drill"].values()) == 2
    assert sum(days["backup"].values()) == 28
    assert ahead.days(Schedule(), "site", NOW, DAY) == {}


def test_a_primary_that_cannot_be_listed_is_red_and_is_not_called_empty(settings: config.Config) -> None:
    broken = Problem(ProblemKind.REPOSITORY, "it does not answer", subject="primary")
    found = judge(settings, None, NOW, here=[broken])
    assert not found.green
    assert (found.missed, found.repositories[0].points) == (("rpo",), None)
    assert found.problems == ("it does not answer",)
    without = settings.model_copy(update={"objectives": config.Objectives()})
    assert not judge(without, None, NOW).green
    assert judge(settings, [incomplete("p", NOW)], NOW).repositories[0].points == 0
