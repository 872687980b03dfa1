"""What the closure costs where there are many blobs: drkit's own account of a backup, and of the next one."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testenv import site as sites
from testenv.benchmark import many
from testenv.benchmark.table import grid
from testenv.benchmark.watch import CommandFailedError, Measured, measure
from testenv.benchmark.ways import WithDrkit, drkit_program

if TYPE_CHECKING:
    from pathlib import Path

AIM_SECONDS = 60
AIM_MEGABYTES = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Backup:
    name: str
    measured: Measured
    result: dict[str, Any]

    @property
    def digests_seconds(self) -> float:
        return next(float(part["seconds"]) for part in self.result["parts"] if part["kind"] == "digests")

    @property
    def closure_seconds(self) -> float:
        return float(self.result["closure"]["seconds"])


def report(directory: Path, counts: many.Counts) -> str:
    """Measure on a registry of so many blobs and rows."""
    began = time.perf_counter()
    site = many.create(directory / "site", counts)
    _log.info("the registry took %.0f s to make", time.perf_counter() - began)
    try:
        way = WithDrkit.prepare(site, directory / "drkit")
        backups = [_backup(way, name, counts) for name in ("first backup", "next backup")]
        shutil.rmtree(directory / "drkit")
        return _render(counts, backups)
    finally:
        sites.destroy(directory / "site")


def _backup(way: WithDrkit, name: str, counts: many.Counts) -> _Backup:
    load = os.getloadavg()[0]
    command = (drkit_program(), "--config", way.config, "backup", "--json")
    measured = measure(command, way.directory / "log")
    found = _Backup(name, measured, json.loads(measured.output)["result"])
    closure = found.result["closure"]
    if closure["missing"] or closure["present"] < counts.blobs or not closure["manifests"]["manifests"]:
        raise CommandFailedError(f"the closure is not what was made: {closure}")
    _log.info(
        "%s: %.0f s, closure %.1f s (load %.1f before)", name, measured.seconds, found.closure_seconds, load
    )
    return found


def _render(counts: many.Counts, backups: list[_Backup]) -> str:
    what = ("list of digests (s)", "closure (s)", "manifests read", "processor, all in all (s)")
    heads = ("", *what, "drkit itself (MB)", "its restic (MB)")
    rows = [
        (
            one.name,
            f"{one.digests_seconds:.1f}",
            _against(one.closure_seconds, AIM_SECONDS),
            f"{one.result['closure']['manifests']['read']:,}",
            f"{one.measured.processor:.0f}",
            _against(one.measured.own_peak / 1e6, AIM_MEGABYTES),
            f"{one.measured.restic_peak / 1e6:.0f}",
        )
        for one in backups
    ]
    return (
        f"{counts.blobs:,} blobs, {counts.images:,} of them manifests; {counts.rows:,} artifact_blob rows.\n"
        "The list is made while the blobs are captured; the closure comes after both, and takes in the\n"
        "listing of the snapshot."
        f" Aims: {AIM_SECONDS} s together, {AIM_MEGABYTES} MB.\n\n{grid(heads, rows)}\n"
    )


def _against(value: float, aim: float) -> str:
    return f"{value:.1f}" if value <= aim else f"{value:.1f} (missed)"
