"""Pulling from `drkit serve`: how soon the first image is there, and how fast they all are."""

from __future__ import annotations

import logging
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from testenv import creation
from testenv import site as sites
from testenv.benchmark.table import against, grid
from testenv.benchmark.ways import WithDrkit, drkit_program
from testenv.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testenv.site import Site

FIRST_AIM_SECONDS, GROWTH_AIM, RATE_AIM = 10.0, 1.2, 0.5
_CLIENTS = 4
_PIECE = 1 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Pulled:
    """Seconds from the start of `drkit serve` to its first answer, to the first image by tag; then rates."""

    answer: float
    image: float
    ours: float
    registry: float
    bytes: int


def report(directory: Path, size: Size, runs: int) -> str:
    """Measure on a registry of a tenth of the size, and on one of the whole."""
    small = Size.of(blobs=size.blob_bytes // 10, rows=size.rows // 10)
    rows, best = [], []
    for name, each in (("a tenth", small), ("whole", size)):
        found = _measure(directory / name.replace(" ", "-"), each, runs)
        best.append(found)
        rate = found.ours / found.registry
        rows.append(
            (
                name,
                f"{found.bytes / 1e9:.2f}",
                f"{found.answer:.2f}",
                f"{found.image:.2f}",
                f"{found.ours / 1e6:.0f}",
                f"{found.registry / 1e6:.0f}",
                f"{rate:.2f}{'' if rate >= RATE_AIM else ' !'}",
            )
        )
    heads = ("size", "GB", "first answer (s)", "first image (s)", "serve (MB/s)", "registry (MB/s)", "ratio")
    grown = against(best[1].image / best[0].image, GROWTH_AIM)
    return (
        f"{grid(heads, rows)}\n\n"
        f"The first image is one by tag (aim: {FIRST_AIM_SECONDS:g} s). Ten times the images and rows\n"
        f"take {grown} times as long (aim: {GROWTH_AIM:g}). Aim of the last column: {RATE_AIM:g} or more.\n"
    )


def _measure(directory: Path, size: Size, runs: int) -> _Pulled:
    directory.mkdir(mode=0o711)
    site = creation.create(directory / "site", size)
    try:
        way = WithDrkit.prepare(site, directory / "drkit")
        way.do("backup")
        found = [_pull(site, way) for _ in range(runs)]
    finally:
        sites.destroy(directory / "site")
    return _Pulled(
        min(each.answer for each in found),
        min(each.image for each in found),
        max(each.ours for each in found),
        max(each.registry for each in found),
        found[0].bytes,
    )


def _pull(site: Site, way: WithDrkit) -> _Pulled:
    blobs = sorted(_blobs(site))
    with sites.connect(site) as connection:
        image = connection.execute(
            "SELECT a.repository_name, t.name FROM tag t JOIN artifact a ON a.id = t.artifact_id"
            " WHERE a.manifest_media_type LIKE '%image.manifest%' LIMIT 1"
        ).fetchone()
    assert image is not None
    began = time.perf_counter()
    with _serving(way) as address:
        answer = time.perf_counter() - began
        manifest = httpx.get(f"{address}/v2/{image[0]}/manifests/{image[1]}", timeout=120).json()
        for blob in (manifest["config"], *manifest["layers"]):
            _read([f"{address}/v2/{image[0]}/blobs/{blob['digest']}"])
        first = time.perf_counter() - began
        ours, total = _rate(address, blobs)
    registry, same = _rate(site.registry_url, blobs)
    assert total == same
    _log.info("first image after %.2f s; %.0f and %.0f MB/s", first, ours / 1e6, registry / 1e6)
    return _Pulled(answer, first, ours, registry, total)


def _blobs(site: Site) -> Iterator[tuple[str, str]]:
    """Each layer that is stored once, with a repository that has it."""
    seen = set()
    top = site.blobs / "docker/registry/v2/repositories"
    for path in top.rglob("_layers/sha256/*"):
        data = site.blobs / "docker/registry/v2/blobs/sha256" / path.name[:2] / path.name / "data"
        if path.name not in seen and data.exists():
            seen.add(path.name)
            yield str(path.relative_to(top)).partition("/_layers")[0], f"sha256:{path.name}"


def _rate(address: str, blobs: Sequence[tuple[str, str]]) -> tuple[float, int]:
    """Bytes a second over all blobs, a few clients at once; and how many there were."""
    urls = [f"{address}/v2/{repository}/blobs/{digest}" for repository, digest in blobs]
    began = time.perf_counter()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        total = sum(pool.map(_read, (urls[n::_CLIENTS] for n in range(_CLIENTS))))
    return total / (time.perf_counter() - began), total


def _read(urls: Sequence[str]) -> int:
    """Read them one after another by curl, which is no burden to what is measured."""
    words = [word for url in urls for word in ("--output", "/dev/null", url)]
    counted = ("curl", "--silent", "--fail", "--write-out", "%{size_download}\\n", *words)
    done = subprocess.run(counted, capture_output=True, text=True, check=True)
    return sum(map(int, done.stdout.split()))


@contextmanager
def _serving(way: WithDrkit) -> Iterator[str]:
    command: list[str | Path] = [drkit_program(), "--config", way.config, "serve", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = ""
        for line in process.stdout:
            if line.startswith("address "):
                address = line.split()[1]
            if line.startswith("Images can be pulled"):
                break
        yield address
    finally:
        process.terminate()
        process.communicate()
