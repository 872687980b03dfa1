"""What an audit costs where there are many blobs, against a `find` that prints every file and its size."""

from __future__ import annotations

import json
import logging
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

    from testenv.site import Site

AIM = 1.5
AIM_MEGABYTES = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Audit:
    name: str
    find: Measured
    audit: Measured
    result: dict[str, Any]

    @property
    def ratio(self) -> float:
        return self.audit.seconds / self.find.seconds


def report(directory: Path, counts: many.Counts) -> str:
    """Measure on a registry of so many blobs, with a link to each."""
    began = time.perf_counter()
    site = many.create(directory / "site", counts)
    try:
        many.write_links(site.blobs, *_linked(site, counts))
        _log.info("the registry took %.0f s to make", time.perf_counter() - began)
        way = WithDrkit.prepare(site, directory / "drkit")
        # Once in vain: both find the names of all files in memory, as a registry in use has them.
        _find(site, way)
        audits = [_audit(site, way, name, counts) for name in ("first audit", "next audit")]
        return _render(counts, audits)
    finally:
        sites.destroy(directory / "site")


def _linked(site: Site, counts: many.Counts) -> tuple[str, many.Counts, list[str]]:
    """The repository that has the images, and the digests of their manifests."""
    with sites.connect(site) as connection:
        row = connection.execute("SELECT name FROM repository ORDER BY repository_id LIMIT 1").fetchone()
        assert row is not None
        # Those of the small site beside them have their links already.
        rows = connection.execute(
            "SELECT digest FROM artifact WHERE repository_name = %s AND media_type = ''", row
        ).fetchall()
    return str(row[0]), counts, [str(digest) for (digest,) in rows]


def _find(site: Site, way: WithDrkit) -> Measured:
    # Not through a pipe that Python reads: only what find does counts.
    words = ("find", site.blobs, "-type", "f", "-fprintf", "/dev/null", r"%P %s\n")
    return measure(words, way.directory / "find.log")


def _audit(site: Site, way: WithDrkit, name: str, counts: many.Counts) -> _Audit:
    found = _find(site, way)
    command = (drkit_program(), "--config", way.config, "audit", "--json")
    measured = measure(command, way.directory / "log")
    result = json.loads(measured.output)["result"]
    if result["stored"] < counts.blobs or result["links"] < counts.blobs or result["unreferenced"]:
        raise CommandFailedError(f"the audit has not seen what was made: {result}")
    _log.info("%s: %.1f s, find %.1f s", name, measured.seconds, found.seconds)
    return _Audit(name, found, measured, result)


def _render(counts: many.Counts, audits: list[_Audit]) -> str:
    heads = ("", "find (s)", "drkit audit (s)", "ratio", "their processor (s)", "ratio", "memory (MB)")
    rows = [
        (
            one.name,
            f"{one.find.seconds:.1f}",
            f"{one.audit.seconds:.1f}",
            _against(one.ratio, AIM, 2),
            f"{one.find.processor:.1f}, {one.audit.processor:.1f}",
            f"{one.audit.processor / one.find.processor:.2f}",
            _against(one.audit.own_peak / 1e6, AIM_MEGABYTES, 0),
        )
        for one in audits
    ]
    return (
        f"{counts.blobs:,} blobs, {counts.images:,} of them manifests, with a link each; {counts.rows:,}"
        " artifact_blob rows.\n`find -printf` prints every file of the registry's directory and its size. The"
        " first audit reads every\nmanifest, the next one remembers them."
        " An audit lets others go first: on a busy machine\nits time says little, that of the processor more."
        f" Aims: a ratio of {AIM}, {AIM_MEGABYTES} MB.\n\n{grid(heads, rows)}\n"
    )


def _against(value: float, aim: float, places: int) -> str:
    return f"{value:.{places}f}" + ("" if value <= aim else " (missed)")
