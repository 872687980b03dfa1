"""Many recovery points: listing them against `restic snapshots`, expiring them against `restic forget`."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, NamedTuple

from testenv import creation
from testenv import site as sites
from testenv.benchmark import crowd
from testenv.benchmark.table import against, grid
from testenv.benchmark.watch import measure
from testenv.benchmark.ways import WithDrkit, drkit_program, run

if TYPE_CHECKING:
    from pathlib import Path

    from testenv.benchmark.watch import Measured
    from testenv.sizes import Size

NEW_AIM, AGAIN_AIM, EXPIRE_AIM = 3.0, 1.0, 1.2


class _Pair(NamedTuple):
    """What is measured, both ways."""

    name: str
    restic: Measured
    drkit: Measured
    aim: float


def report(directory: Path, size: Size, points: int, runs: int) -> str:
    """The best times of so many runs, as a table."""
    site = creation.create(directory / "site", size)
    try:
        way = WithDrkit.prepare(site, directory / "drkit")
        way.do("backup")
        way.do("drill")
        scratch = directory / "seals"
        scratch.mkdir()
        crowd.multiply(way.config, points - 1, scratch)
        # Its seal has all the others.
        way.do("backup")
        found = [pair for _ in range(runs) for pair in (*_lists(way, directory), _expire(way, directory))]
    finally:
        sites.destroy(directory / "site")
    names = dict.fromkeys(pair.name for pair in found)
    rows = [_row([pair for pair in found if pair.name == name]) for name in names]
    heads = ("work", "restic (s)", "drkit (s)", "ratio", "aim", "processor: restic (s)", "drkit (s)", "ratio")
    return f"{points} points, each with a drill.\n\n{grid(heads, rows)}\n"


def _row(pairs: list[_Pair]) -> tuple[str, ...]:
    aim = pairs[0].aim
    restic, drkit = min(p.restic.seconds for p in pairs), min(p.drkit.seconds for p in pairs)
    wall = (f"{restic:.1f}", f"{drkit:.1f}", against(drkit / restic, aim), f"{aim:g}")
    restic, drkit = min(p.restic.processor for p in pairs), min(p.drkit.processor for p in pairs)
    return (pairs[0].name, *wall, f"{restic:.1f}", f"{drkit:.1f}", f"{drkit / restic:.2f}")


def _lists(way: WithDrkit, directory: Path) -> tuple[_Pair, _Pair]:
    cache, log, plain = directory / "cache", directory / "log", directory / "plain"
    words = (*way.without_drkit(plain), "--cache-dir", cache)
    # Another host's: without its state directory this one would be another machine, whose points none are.
    state, config = directory / "elsewhere", directory / "elsewhere.toml"
    for path in (cache, state):
        shutil.rmtree(path, ignore_errors=True)
    config.write_text(way.config.read_text().replace(str(way.directory / "state"), str(state)))
    config.chmod(0o600)
    listed = [*words, "snapshots", "--json", "--no-lock"]
    points: list[str | Path] = [drkit_program(), "--config", config, "points", "--json"]
    new = _Pair("points, never seen", measure(listed, log), measure(points, log), NEW_AIM)
    again = _Pair("points, seen before", measure(listed, log), measure(points, log), AGAIN_AIM)
    shutil.rmtree(plain)
    return new, again


def _expire(way: WithDrkit, directory: Path) -> _Pair:
    """Each removes the same points from a copy of the repository."""
    repository, cache, log = way.directory / "repository", directory / "cache", directory / "log"
    plain, kept = directory / "plain", directory / "kept"
    program = (drkit_program(), "--config", way.config)
    decided = json.loads(run(*program, "expire", "--dry-run", "--json"))["result"]["decisions"]
    doomed = {f"drkit:point:{each['point']}" for each in decided if not each["keep"]}
    try:
        words = (*way.without_drkit(plain), "--cache-dir", cache)
        snapshots = json.loads(run(*words, "snapshots", "--json", "--no-lock"))
        ids = [each["id"] for each in snapshots if doomed & set(each["tags"])]
        by_restic = measure([*words, "forget", "--prune", "--quiet", *ids], log)
        shutil.copytree(repository, kept)
        by_drkit = measure([*program, "expire", "--json"], log)
    finally:
        shutil.rmtree(plain, ignore_errors=True)
        if kept.exists():
            shutil.rmtree(repository)
            kept.rename(repository)
    return _Pair(f"expire of {len(doomed)}", by_restic, by_drkit, EXPIRE_AIM)
