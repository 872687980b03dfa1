"""One image back into a registry that runs, by `drkit restore --image`, against `skopeo copy` of the same."""

from __future__ import annotations

import logging
import random
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testenv import churn, creation, registry, sizes
from testenv import site as sites
from testenv.benchmark.table import against, grid
from testenv.benchmark.ways import WithDrkit, drkit_program, run
from testenv.processes import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AIM = 1.1
_LAYERS = 8
_PROJECT, _REPOSITORY, _TAG = "library", "bench", "v1"

_log = logging.getLogger(__name__)


def report(directory: Path, blob_bytes: int, runs: int) -> str:
    """Measure with an image of that size, in eight layers, into an empty registry each time."""
    site = creation.create(directory / "site", sizes.TINY)
    try:
        layers = [random.Random(number).randbytes(blob_bytes // _LAYERS) for number in range(_LAYERS)]
        churn.push_image(site, _PROJECT, _REPOSITORY, _TAG, layers)
        del layers
        way = WithDrkit.prepare(site, directory / "drkit")
        way.do("backup")
        source = f"{site.registry_url}/{_PROJECT}/{_REPOSITORY}:{_TAG}"
        copied, restored = [], []
        for number in range(runs):
            copied.append(_by_skopeo(directory / f"copy-{number}", source))
            restored.append(_by_drkit(directory / f"restore-{number}", way))
            _log.info("skopeo copy %.2f s, drkit restore --image %.2f s", copied[-1], restored[-1])
    finally:
        sites.destroy(directory / "site")
    rows = [
        ("skopeo copy", f"{min(copied):.2f}", f"{blob_bytes / min(copied) / 1e6:.0f}"),
        ("drkit restore --image", f"{min(restored):.2f}", f"{blob_bytes / min(restored) / 1e6:.0f}"),
    ]
    ratio = against(min(restored) / min(copied), AIM)
    table = grid(("way", "seconds", "MB/s"), rows)
    return f"{table}\n\nAn image of {blob_bytes / 1e9:.2f} GB: {ratio} (aim: {AIM:g}).\n"


@contextmanager
def _empty_registry(directory: Path) -> Iterator[str]:
    for name in ("run", "log"):
        (directory / name).mkdir(parents=True)
    port = next(free_ports())
    registry.start(directory, directory / "blobs", port)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        registry.stop(directory)
        shutil.rmtree(directory)


def _by_skopeo(directory: Path, source: str) -> float:
    with _empty_registry(directory) as target:
        name = source.partition("://")[2].partition("/")[2]
        plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
        words = ("skopeo", "--insecure-policy", "copy", "--quiet", *plain)
        began = time.perf_counter()
        subprocess.run(
            [*words, f"docker://{source.partition('://')[2]}", f"docker://{target}/{name}"], check=True
        )
        return time.perf_counter() - began


def _by_drkit(directory: Path, way: WithDrkit) -> float:
    with _empty_registry(directory) as target:
        pattern = f"{_PROJECT}/{_REPOSITORY}:{_TAG}"
        began = time.perf_counter()
        run(drkit_program(), "--config", way.config, "restore", "latest", "--image", pattern,
            "--to", f"http://{target}", "--yes")  # fmt: skip
        return time.perf_counter() - began
