"""The results as Markdown that can be read on a terminal too."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from testenv.benchmark.rounds import DRILL, FIRST, LATER, WORKS
from testenv.benchmark.ways import FIRST_PULL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testenv.benchmark.rounds import Facts, Results

AIMS = {FIRST: 0.85, LATER: 1.0, DRILL: 0.2}
FIRST_PULL_AIM = 0.25
HELP_AIM_SECONDS = 0.2
_HAND, _DRKIT = "by hand", "drkit"


def render(results: Results, larger: Results | None, help_seconds: float, runs: int) -> str:
    """The whole report."""
    parts = [_introduction(results.facts, runs), _comparison(results), _first_pull(results)]
    parts += [_help(help_seconds)]
    parts += [_memory(results, larger)] if larger else []
    parts += [_stages(results)]
    return "\n\n".join(parts) + "\n"


def _introduction(facts: Facts, runs: int) -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    times = "once each" if runs == 1 else f"{runs} times each, in turn; the best time of each"
    return (
        f"A registry with {_held(facts)}, {facts.rows:,} rows and {facts.tags:,} tags.\n"
        f"{os.cpu_count()} processors, {memory:.0f} GiB of memory, Linux {platform.release()}. {times}.\n"
        "Both ways find the registry's files and their repository in memory and the database freshly\n"
        "vacuumed; all writes are synced before. The repositories are local directories."
    ).replace(". once", ". Once")


def _held(facts: Facts) -> str:
    return f"{facts.blobs:,} blobs of {facts.bytes / 1e9:.2f} GB together"


def _comparison(results: Results) -> str:
    rows = []
    for what in WORKS:
        hand, drkit = (results.best(what, way)[0].seconds for way in (_HAND, _DRKIT))
        rows.append(
            (
                what,
                f"{hand:.1f}",
                f"{drkit:.1f}",
                against(drkit / hand, AIMS[what]),
                f"{AIMS[what]:g}",
                _mib(results.own_peak(what, _DRKIT)),
                _mib(results.restic_peak(what, _DRKIT)),
                _mib(results.restic_peak(what, _HAND)),
            )
        )
    heads = ("work", "by hand (s)", "drkit (s)", "ratio", "aim", "drkit itself (MiB)", "its restic (MiB)")
    return grid((*heads, "restic by hand (MiB)"), rows)


def against(value: float, aim: float) -> str:
    """The ratio, and whether it misses its aim."""
    return f"{value:.2f}" if value <= aim else f"{value:.2f} (missed)"


def _first_pull(results: Results) -> str:
    """From when a drill begins to restore blobs until an image is pulled, against restoring them all."""
    hand, drkit = (dict(results.best(DRILL, way)[1]) for way in (_HAND, _DRKIT))
    pulled, restored = drkit[FIRST_PULL], hand["restore blobs"]
    ratio = against(pulled / restored, FIRST_PULL_AIM)
    aim = f"(aim: {FIRST_PULL_AIM:g})"
    return f"First pull in a drill: {pulled:.1f} s, {ratio} of restoring all blobs by hand {aim}"


def _help(seconds: float) -> str:
    return f"`drkit --help`: {against(seconds, HELP_AIM_SECONDS)} s (aim: {HELP_AIM_SECONDS} s)"


def _memory(results: Results, larger: Results) -> str:
    rows = []
    for what in (FIRST, DRILL):
        for one in (results, larger):
            peaks = (one.own_peak(what, _DRKIT), one.restic_peak(what, _DRKIT))
            rows.append((what, _held(one.facts), *map(_mib, peaks)))
    title = "ManifestCache with ten times as many blobs:"
    return f"{title}\n\n" + grid(("work", "registry", "drkit itself (MiB)", "its restic (MiB)"), rows)


def _stages(results: Results) -> str:
    found = ["Where the time goes (drkit's stages overlap):"]
    for what in WORKS:
        rows = []
        for way in (_HAND, _DRKIT):
            rows += [(way, name, f"{seconds:.1f}") for name, seconds in results.best(what, way)[1]]
        found.append(f"{what}:\n\n" + grid(("way", "stage", "seconds"), rows))
    return "\n\n".join(found)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f}"


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str]) -> Iterator[str]:
        yield from (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))

    rule = ["-" * width for width in widths]
    return "\n".join(f"| {' | '.join(line(row))} |" for row in (heads, rule, *rows))
