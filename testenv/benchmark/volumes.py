"""What freezing costs: a backup of blobs against `restic backup` of the same directory, in turn."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from testenv import loops
from testenv.benchmark.table import against, grid
from testenv.benchmark.watch import Measured, measure
from testenv.benchmark.ways import drkit_program, run

if TYPE_CHECKING:
    from pathlib import Path

# What is measured: the file system, and what drkit is told to do there.
CASES: tuple[tuple[loops.Kind, str], ...] = (
    ("btrfs", "auto"),
    ("btrfs", "live"),
    ("xfs", "auto"),
    ("xfs", "reflink"),
)
FIRST, LATER, AGAIN = "first backup", "after 1% new blobs", "nothing new"
AIMS = {FIRST: 1.05, LATER: 1.15, AGAIN: 1.15}
_SMALL = 2_000
_TREE = "docker/registry/v2"
_CONFIG = """
[site]
name = "bench"
state = "{home}/state"

[blobs]
path = "{blobs}"
volume = "{volume}"

[[repository]]
name = "primary"
url = "{home}/drkit"
password_file = "{home}/restic.password"
"""

_log = logging.getLogger(__name__)


@dataclass
class _Found:
    """Both ways' measurements of one piece of work; of drkit's also the blobs and the freezing alone."""

    plain: list[Measured] = field(default_factory=list)
    ours: list[Measured] = field(default_factory=list)
    blobs: list[float] = field(default_factory=list)
    frozen: list[float] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    kind: str = ""


def report(directory: Path, blob_bytes: int, count: int, runs: int) -> str:
    """Measure on each file system, with so many blobs, half of them small; needs root."""
    found: dict[tuple[str, str, str], _Found] = {}
    for filesystem in dict.fromkeys(kind for kind, _ in CASES):
        with loops.mounted(directory / filesystem, filesystem, blob_bytes * 2 + (2 << 30)) as top:
            if filesystem == "btrfs":
                run("btrfs", "subvolume", "create", top / "data")
            root = top / "data/registry"
            _fill(root, blob_bytes, count, seed=0)
            for number in range(runs):
                for volume in [wanted for kind, wanted in CASES if kind == filesystem]:
                    home = directory / "run"
                    _prepare(home, root, volume)
                    for what in AIMS:
                        if what == LATER:
                            _fill(root, blob_bytes // 100, count // 100, seed=f"{number} {volume}")
                        entry = found.setdefault((filesystem, volume, what), _Found())
                        _measure(home, root, entry, ours_first=number % 2 == 1)
                        _log.info("%s, %s, %s: %s", filesystem, volume, what, _numbers(entry))
                    shutil.rmtree(home)
        shutil.rmtree(directory / filesystem)
    return _render(found, blob_bytes, count, runs)


def _fill(root: Path, blob_bytes: int, count: int, seed: object) -> None:
    """Blobs with a link each: half of them small, as manifests and configurations are, the others layers."""
    chance = Random(str(seed))
    size = max(_SMALL, (blob_bytes - count // 2 * _SMALL) // max(1, count - count // 2))
    for number in range(count):
        digits = f"{chance.getrandbits(256):064x}"
        blob = root / _TREE / "blobs/sha256" / digits[:2] / digits
        link = root / _TREE / f"repositories/library/app-{number % 50}/_layers/sha256" / digits
        for directory in (blob, link):
            directory.mkdir(parents=True)
        (blob / "data").write_bytes(chance.randbytes(_SMALL if number % 2 else size))
        (link / "link").write_text(f"sha256:{digits}")


def _prepare(home: Path, root: Path, volume: str) -> None:
    home.mkdir(mode=0o700)
    secret = home / "restic.password"
    secret.touch(mode=0o600)
    secret.write_text("bench\n")
    (home / "drkit.toml").write_text(_CONFIG.format(home=home, blobs=root, volume=volume))
    run("restic", "init", "--repo", home / "plain", "--password-file", secret)
    # One key derivation for both: how long it takes is settled when a repository is made.
    shutil.copytree(home / "plain", home / "drkit")


def _measure(home: Path, root: Path, found: _Found, *, ours_first: bool) -> None:
    for path in root.rglob("data"):
        path.read_bytes()
    ways = (_plain, _drkit)
    for way in ways[::-1] if ours_first else ways:
        way(home, root, found)


def _plain(home: Path, root: Path, found: _Found) -> None:
    words: list[str | Path] = ["restic", "--repo", home / "plain"]
    words += ["--password-file", home / "restic.password", "backup", "--quiet", root]
    found.plain.append(measure(words, home / "log"))


def _drkit(home: Path, _root: Path, found: _Found) -> None:
    words: list[str | Path] = [drkit_program(), "--config", home / "drkit.toml", "backup", "--json"]
    found.ours.append(measure(words, home / "log"))
    result = json.loads(found.ours[-1].output)["result"]
    (part,) = [part for part in result["parts"] if part["kind"] == "blobs"]
    found.blobs.append(part["seconds"])
    found.added.append(part["added_bytes"])
    found.frozen.append(result["volume"]["seconds"])
    found.kind = result["volume"]["kind"]


def _numbers(found: _Found) -> str:
    return (
        f"restic {found.plain[-1].seconds:.1f} s, drkit's blobs {found.blobs[-1]:.1f} s, "
        f"frozen in {found.frozen[-1]:.2f} s (load {os.getloadavg()[0]:.1f})"
    )


def _render(found: dict[tuple[str, str, str], _Found], blob_bytes: int, count: int, runs: int) -> str:
    heads = (
        "file system", "volume", "work", "restic (s)", "drkit's blobs (s)", "ratio", "aim",
        "all of drkit (s)", "frozen in (s)", "new (MB)",
    )  # fmt: skip
    rows = []
    for (filesystem, volume, what), entry in found.items():
        plain, blobs = min(one.seconds for one in entry.plain), min(entry.blobs)
        rows.append(
            (
                filesystem,
                volume if volume == entry.kind else f"{volume}: {entry.kind}",
                what,
                f"{plain:.1f}",
                f"{blobs:.1f}",
                against(blobs / plain, AIMS[what]),
                f"{AIMS[what]:g}",
                f"{min(one.seconds for one in entry.ours):.1f}",
                f"{max(entry.frozen):.2f}" if entry.kind != "live" else "-",
                f"{min(entry.added) / 1e6:.1f}",
            )
        )
    held = f"{count:,} blobs of {blob_bytes / 1e9:.2f} GB together, and as many links"
    return f"A registry with {held}; {runs} times in turn, the best time of each.\n\n{grid(heads, rows)}\n"
