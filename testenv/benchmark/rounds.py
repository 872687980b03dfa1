"""What is measured: both ways in turn, on the same registry, as often as wished."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testenv import churn, cluster, creation
from testenv import site as sites
from testenv.benchmark.watch import Measured, settle
from testenv.benchmark.ways import ByHand, Stages, WithDrkit, drkit_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testenv.benchmark.ways import Way, Work
    from testenv.site import Site
    from testenv.sizes import Size

FIRST, LATER, DRILL = "first backup", "backup after 1% new blobs", "full drill"
WORKS: dict[str, Work] = {FIRST: "backup", LATER: "backup", DRILL: "drill"}
_GROWTH = 0.01
_HELP_RUNS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Facts:
    """What a registry held when it was measured."""

    blobs: int
    bytes: int
    rows: int
    tags: int


@dataclass
class Results:
    """Every measurement, by what was done and which way."""

    facts: Facts
    runs: dict[tuple[str, str], list[tuple[Measured, Stages]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def best(self, what: str, way: str) -> tuple[Measured, Stages]:
        """The quickest: whatever else the machine does only adds to a time."""
        return min(self.runs[what, way], key=lambda run: run[0].seconds)

    def own_peak(self, what: str, way: str) -> int:
        """The highest peak of the way's own process, in bytes."""
        return max(measured.own_peak for measured, _ in self.runs[what, way])

    def restic_peak(self, what: str, way: str) -> int:
        """The highest peak of a restic, in bytes."""
        return max(measured.restic_peak for measured, _ in self.runs[what, way])


def compare(directory: Path, size: Size, runs: int) -> Results:
    """Measure both ways; every run begins with new repositories."""
    site = creation.create(directory / "site", size)
    try:
        results = Results(_facts(site))
        for number in range(runs):
            by_hand = ByHand.prepare(site, directory / "by-hand")
            both: list[Way] = [by_hand, WithDrkit.prepare(site, directory / "drkit")]
            in_turn = both if number % 2 == 0 else both[::-1]
            _measure(results, site, FIRST, in_turn)
            churn.grow(site, _GROWTH, seed=number + 1)
            _measure(results, site, LATER, in_turn)
            _measure(results, site, DRILL, in_turn)
            for name in ("by-hand", "drkit"):
                shutil.rmtree(directory / name)
        return results
    finally:
        sites.destroy(directory / "site")


def look_at_memory(directory: Path, size: Size) -> Results:
    """What drkit alone needs at another size."""
    site = creation.create(directory / "site", size)
    try:
        results = Results(_facts(site))
        way = WithDrkit.prepare(site, directory / "drkit")
        for what in (FIRST, DRILL):
            _measure(results, site, what, [way])
        shutil.rmtree(directory / "drkit")
        return results
    finally:
        sites.destroy(directory / "site")


def help_seconds() -> float:
    """The best time of `drkit --help`."""
    times = []
    for _ in range(_HELP_RUNS):
        began = time.perf_counter()
        subprocess.run([drkit_program(), "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    return min(times)


def _measure(results: Results, site: Site, what: str, ways: Sequence[Way]) -> None:
    for way in ways:
        _settle(site, way)
        load = os.getloadavg()[0]
        measured, stages = way.do(WORKS[what])
        results.runs[what, way.name].append((measured, stages))
        _log.info("%s, %s: %.1f s (load %.1f before)", what, way.name, measured.seconds, load)


def _settle(site: Site, way: Way) -> None:
    """Whoever comes first shall not pay for what the writing left over: both find everything in memory."""
    with sites.connect(site) as connection:
        connection.autocommit = True
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
    settle(site.blobs, cluster.data_directory(site.root), way.directory)


def _facts(site: Site) -> Facts:
    with sites.connect(site) as connection:
        found = connection.execute("SELECT count(*), (SELECT count(*) FROM tag) FROM blob").fetchone()
        rows = creation.count_rows(connection)
    sizes = [path.stat().st_size for path in site.blobs.rglob("data")]
    assert found is not None
    return Facts(len(sizes), sum(sizes), rows, int(found[1]))
