"""Under load every point is whole; without the order, or without the second look, one is torn."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

import testenv
from testenv import Site
from testenv.under_fire import figures
from testenv.under_fire.campaign import Campaign
from testenv.under_fire.clients import PROJECTS, Client
from testenv.under_fire.collector import Collector
from testenv.under_fire.core import Core
from testenv.under_fire.guard import Guard
from testenv.under_fire.judge import Judge
from testenv.under_fire.load import Load, make_projects, under_load
from testenv.under_fire.scratch import scratch_server
from testenv.under_fire.stored import Repository
from testenv.under_fire.traffic import Traffic
from tests.e2e import gates
from tests.e2e.commands import Drkit, finish, wait_for
from tests.e2e.composed import Composer
from tests.e2e.conftest import initialise

# DRKIT_FIRE_SECONDS=600 for a long campaign, which does not end before it has plenty of points.
SECONDS = float(os.environ.get("DRKIT_FIRE_SECONDS", "20"))
POINTS, DRILLS = (50, 6) if SECONDS > 300 else (3, 2)
_TRIES = 5


@dataclass(frozen=True)
class Busy:
    """A registry of these tests' own, which is not what it was when they end, and its drkit."""

    site: Site
    drkit: Drkit
    directory: Path

    @property
    def repository(self) -> Repository:
        return Repository(self.drkit.repository, self.drkit.restic_password)


@pytest.fixture(scope="module")
def busy(place: Path, new_home: Callable[[], Path]) -> Iterator[Busy]:
    site = testenv.create(place / "busy", testenv.TINY)
    make_projects(site)
    drkit = Drkit(new_home())
    initialise(drkit, site)
    yield Busy(site, drkit, drkit.home)
    testenv.destroy(site.root)


@pytest.fixture(scope="module")
def judge(busy: Busy) -> Iterator[Judge]:
    with scratch_server(busy.directory / "judge") as scratch:
        yield Judge(busy.repository, scratch, str(busy.site.blobs))


@pytest.mark.timeout(420 + 10 * SECONDS)
def test_every_point_is_whole(busy: Busy, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    drkit = busy.drkit
    guard = Guard((drkit.python, "-m", "drkit", "--config", str(drkit.config)), drkit.surroundings)
    campaign = Campaign(busy.site, guard, judge, logging.getLogger(__name__).info)
    report = campaign.run(SECONDS, at_least=POINTS, drills=DRILLS, random=Random(1))
    told = figures.render(report)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201 - the figures are what a long campaign is for
    assert report.good, told
    for what in ("pushes", "artifacts deleted", "tags set or moved", "blobs collected", "schema changes"):
        assert report.counts[what] > 0, told
    assert len(report.points) >= POINTS, told
    assert len(report.drills) == DRILLS, told
    if SECONDS > 300:
        # Of a handful, chance may spoil most.
        refused = len(report.backups) - len(report.points)
        assert refused <= len(report.points), told


def test_blobs_first_is_torn(busy: Busy, judge: Judge) -> None:
    composer = Composer(busy.drkit, busy.directory)
    with under_load(busy.site, 2, collector=False, migrator=False) as load:
        for _ in range(_TRIES):
            torn = composer.blobs_first(lambda: _wait_for_pushes(load, 3))
            found = judge.parts(torn.dump, torn.blobs)
            if any(line.startswith("missing: ") for line in found):
                return
    pytest.fail(f"the judge has not found a blob missing in {_TRIES} torn points: {found}")


def _wait_for_pushes(load: Load, count: int) -> None:
    before = load.traffic.counted("pushes")
    wait_for(lambda: load.failed or load.traffic.counted("pushes") >= before + count, "somebody pushes")


@pytest.fixture
def garbage(busy: Busy) -> Iterator[Callable[[], None]]:
    """What makes garbage of an image that is there now, and collects it at once."""
    traffic = Traffic()
    with Core(busy.site, traffic) as core, Collector(busy.site, traffic, window=0.0) as collector:
        client = Client(core, Random("garbage"), "garbage")
        image = client.build(f"{PROJECTS[0]}/garbage")
        client.push(image, "latest")

        def collect() -> None:
            row = core.connection.execute(
                "SELECT id FROM artifact WHERE digest = %s", (image.manifest.digest,)
            ).fetchone()
            assert row is not None
            core.delete_artifact(row[0], PROJECTS[0])
            assert collector.collect() > 0

        yield collect


def test_without_the_second_look_a_collection_tears(
    busy: Busy, judge: Judge, garbage: Callable[[], None]
) -> None:
    torn = Composer(busy.drkit, busy.directory).without_second_look(garbage)
    found = judge.parts(torn.dump, torn.blobs)
    assert any(line.startswith("missing: ") for line in found), found


def test_with_it_the_backup_starts_over_and_is_whole(
    busy: Busy, judge: Judge, garbage: Callable[[], None]
) -> None:
    gate = gates.databases_held(busy.drkit)
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
        garbage()
    finally:
        gate.open()
        ended = finish(process)
    if ended.code == 3:
        # On a slow machine the collection was not over when the second attempt began.
        assert ended.error["disturbance"] == "garbage_collection"
        return
    assert ended.result["attempts"] > 1
    assert judge.point(ended.result["id"]) == []
