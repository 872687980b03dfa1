"""What a backup from a bucket costs before a byte is copied, and how many copies are under way at once."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from testenv import processes
from testenv.benchmark import bucket_ways
from testenv.benchmark.table import grid
from testenv.benchmark.watch import measure

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOP = Path(__file__).resolve().parents[2]
_MILLISECONDS = 20
_COPIED = 10_000
_AIM_FASTER = 10
_AIM_MEMORY = 200
_AIM_AT_ONCE = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Done:
    """`count` keys or blobs in so many seconds; what the service saw of it; the peak of memory in bytes."""

    count: int
    seconds: float
    requests: int
    most: int
    peak: int


def report(directory: Path, keys: int) -> str:
    """Measure with so many keys on each side."""
    bucket_ways.write_inventory(directory, keys)
    with _served(directory, keys, 0) as endpoint:
        slow, plan, nothing = (_do(way, endpoint, directory) for way in ("boto3", "plan", "nothing"))
    with _served(directory, _COPIED, _COPIED) as endpoint:
        copied = _do("copy", endpoint, directory)
    return _render(keys, slow, plan, nothing, copied)


@contextlib.contextmanager
def _served(directory: Path, keys: int, contents: int) -> Iterator[str]:
    log, mark = directory / "server.log", directory / f"server-{keys}"
    port = next(processes.free_ports())
    program = [sys.executable, "-m", "testenv.benchmark.listing_server", str(port), str(keys), str(contents)]
    pid = processes.spawn(
        [*program, str(_MILLISECONDS), mark],
        log=log,
        pid_file=directory / "server.pid",
        cwd=directory,
        environment={"PYTHONPATH": str(_TOP)},
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        processes.wait_until(lambda: _counts(endpoint) is not None, pid=pid, log=log, seconds=300)
        yield endpoint
    finally:
        processes.stop(lambda: processes.find(Path(sys.executable).name, mark), polite=signal.SIGTERM)


def _counts(endpoint: str) -> dict[str, int] | None:
    try:
        found: dict[str, int] = httpx.get(f"{endpoint}/-/counts", timeout=60, trust_env=False).json()
    except httpx.TransportError:
        return None
    return found


def _do(way: str, endpoint: str, directory: Path) -> _Done:
    _counts(endpoint)
    load = os.getloadavg()[0]
    found = measure(
        [sys.executable, "-m", "testenv.benchmark.bucket_ways", way, endpoint, directory], directory / "log"
    )
    said, counts = json.loads(found.output), _counts(endpoint)
    assert counts is not None
    _log.info("%s: %.1f s (load %.1f before)", way, said["seconds"], load)
    return _Done(said["count"], said["seconds"], counts["requests"], counts["most"], found.own_peak)


def _render(keys: int, slow: _Done, plan: _Done, nothing: _Done, copied: _Done) -> str:
    works = (
        ("planning, one listing call after another (boto3)", slow),
        ("planning by drkit", plan),
        ("a run with nothing new: planning, and the inventory", nothing),
        (f"copying {copied.count:,} new blobs of 7 bytes", copied),
    )
    rows = [
        (
            what,
            f"{done.seconds:.1f}",
            f"{done.requests:,}",
            f"{done.most}",
            f"{done.peak / (1 << 20):.0f}",
        )
        for what, done in works
    ]
    table = grid(("work", "seconds", "requests", "most at once", "memory (MiB)"), rows)
    times = slow.seconds / plan.seconds
    peak = max(plan.peak, nothing.peak, copied.peak) / (1 << 20)
    return (
        f"A bucket and its vault with {keys:,} blobs each; the service answers after {_MILLISECONDS} ms.\n\n"
        f"{table}\n\n"
        f"Planning is {times:.1f} times faster than one call after another (aim: {_AIM_FASTER}); "
        f"a listing in full pages takes {2 * -(-keys // 1000):,} requests.\n"
        f"ManifestCache: {peak:.0f} MiB at most (aim: {_AIM_MEMORY}). "
        f"Requests at once while copying: {copied.most} (aim: {_AIM_AT_ONCE}).\n"
    )
