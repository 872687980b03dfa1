"""`drkit copy` of many new points against one `restic copy` of the same snapshots."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from testenv import creation
from testenv import site as sites
from testenv.benchmark.table import against, grid
from testenv.benchmark.watch import measure
from testenv.benchmark.ways import WithDrkit, drkit_program, run

if TYPE_CHECKING:
    from pathlib import Path

    from testenv.sizes import Size

AIM = 1.1


def report(directory: Path, size: Size, points: int, runs: int) -> str:
    """The best times of so many runs, as a table."""
    site = creation.create(directory / "site", size)
    try:
        way = WithDrkit.prepare(site, directory / "drkit")
        for _ in range(points):
            way.do("backup")
        # What retention would remove there again is not copied: all is kept.
        text = way.config.read_text()
        way.config.write_text("\n".join(line for line in text.splitlines() if not line.startswith("keep_")))
        before = way.config.read_text()
        found = []
        for _ in range(runs):
            found.append((_by_restic(way, directory / "by-restic"), _by_drkit(way, directory / "by-drkit")))
            way.config.write_text(before)
    finally:
        sites.destroy(directory / "site")
    restic, drkit = (min(seconds) for seconds in zip(*found, strict=True))
    row = (str(points), f"{restic:.1f}", f"{drkit:.1f}", against(drkit / restic, AIM), f"{AIM:g}")
    heads = ("new points", "one restic copy (s)", "drkit copy (s)", "ratio", "aim")
    return f"{grid(heads, [row])}\n"


def _by_restic(way: WithDrkit, target: Path) -> float:
    plain = target.with_suffix(".plain")
    *_, password = way.without_drkit(plain)
    words = (
        "restic",
        "--repo",
        target,
        "--password-file",
        password,
        "--cache-dir",
        target.with_suffix(".cache"),
    )
    source = ("--from-repo", plain, "--from-password-file", password)
    run(*words, "init", "--copy-chunker-params", *source)
    try:
        return measure([*words, "copy", *source], target.with_suffix(".log")).seconds
    finally:
        for path in (target, plain, target.with_suffix(".cache")):
            shutil.rmtree(path, ignore_errors=True)


def _by_drkit(way: WithDrkit, target: Path) -> float:
    program = (drkit_program(), "--config", way.config)
    made = way.directory / "offsite.password"
    run(*program, "init", "--copy-to", target)
    try:
        return measure([*program, "copy"], target.with_suffix(".log")).seconds
    finally:
        shutil.rmtree(target)
        made.unlink()
        shutil.rmtree(way.directory / "state" / "known", ignore_errors=True)
