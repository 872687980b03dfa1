"""What it costs to let a cluster read blobs, against bare sha256sum and drkit's own threads."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.blobs.inventory import Entry
from drkit.blobs.units import canary, worker
from drkit.blobs.units.executors import CLUSTER_UNIT, Spread, Threads
from drkit.blobs.units.sources import DirectorySource, Source, judged
from drkit.blobs.units.spool import Spool
from drkit.blobs.units.unit import DONE, cut
from drkit.blobs.units.work import Hashing
from drkit.progress import Meter, silent
from drkit.registry import storage
from drkit.tools.cluster import Function
from testenv import dask_cluster, plain_tree
from testenv.benchmark import simulated
from testenv.dask_cluster import Cluster

_LAYER = 64 << 20
_SMALL_UNITS = 400
_MANY = 10_000_000
_WORKERS = 64
_UNITS_EACH = 6
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and of processors."""

    seconds: float
    processor: float


def report(directory: Path, size: int, runs: int) -> str:
    """Measure everything; a table."""
    lines = [*_hashing(directory / "hashing", size, runs), *_overhead(directory / "overhead", runs)]
    lines += [*_many_workers(directory / "many"), *_planning(directory / "planning")]
    return "| what | measured | wanted |\n|---|---|---|\n" + "".join(f"| {line} |\n" for line in lines)


def _hashing(directory: Path, size: int, runs: int) -> list[str]:
    root = directory / "registry"
    directory.mkdir()
    plain_tree.make(root, max(2, size // _LAYER), _LAYER)
    entries = [Entry(digest, "", length) for digest, length in storage.stored_blobs(root)]
    source = DirectorySource(root)
    paths = [storage.blob_path(root, entry.digest) for entry in entries]
    with dask_cluster.cluster(directory / "dask") as cluster:
        for number in (1, 2):
            cluster.worker(f"worker-{number}")
        # So that the workers have loaded what they need.
        _spread(cluster, directory, entries[:2], source)
        ways: dict[str, Callable[[], object]] = {
            "sha256sum": lambda: _sha256sum(paths),
            "threads": lambda: _threads(entries, source),
            "cluster": lambda: _spread(cluster, directory, entries, source, _LAYER * 4),
        }
        pids = [process.running.pid for process in cluster.processes]
        rounds = [{name: _measured(way, paths, pids) for name, way in ways.items()} for _ in range(runs)]
    best = {name: min((each[name] for each in rounds), key=lambda took: took.seconds) for name in ways}
    least = {name: min(each[name].processor for each in rounds) for name in ways}
    said = "; ".join(f"{name} {took.seconds:.2f} s, {least[name]:.2f} CPU s" for name, took in best.items())
    times = {name: best["cluster"].seconds / best[name].seconds for name in ("sha256sum", "threads")}
    cost = {name: least["cluster"] / least[name] for name in times}
    bare, own = 1 / times["sha256sum"], times["threads"]
    return [
        f"{size / 1e9:.1f} GB, two at a time: {said} | {bare:.2f} of the speed of two sha256sum,"
        f" {cost['sha256sum']:.2f} times their CPU | a speed of at least 0.9",
        f"the same against drkit's threads | {own:.2f} times their time, {cost['threads']:.2f} times"
        " their CPU | at most 1.1 times the time",
    ]


def _sha256sum(paths: Sequence[Path]) -> None:
    halves = [subprocess.Popen(["sha256sum", *paths[half::2]], stdout=subprocess.DEVNULL) for half in (0, 1)]
    if any(half.wait() for half in halves):
        raise OSError("sha256sum failed")


def _threads(entries: Sequence[Entry], source: Source) -> None:
    Threads(2).run(entries, Hashing(source), lambda _entry, _found: None, Meter(silent, "", None))


def _spread(
    cluster: Cluster,
    scratch: Path,
    entries: Sequence[Entry],
    source: Source,
    unit: int = CLUSTER_UNIT,
    perform: Function = worker.perform,
) -> None:
    settings = config.Cluster(scheduler=cluster.address)
    read = []
    spread = Spread(settings, scratch, unit, perform)
    spread.run(entries, Hashing(source), lambda _entry, found: read.append(found), Meter(silent, "", None))
    if read != [DONE] * len(entries):
        raise OSError("not every blob was found right")


def _measured(way: Callable[[], object], paths: Sequence[Path], pids: Sequence[int]) -> Took:
    """Of a storage that is not in memory: what drkit reads it lets go again."""
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before, began = _processor(pids), time.monotonic()
    way()
    return Took(time.monotonic() - began, _processor(pids) - before)


def _processor(pids: Sequence[int]) -> float:
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return own + ticks / _TICKS


def _overhead(directory: Path, runs: int) -> list[str]:
    """What a unit costs beside its bytes: many that have almost none, against 1 GiB of bytes."""
    root = directory / "registry"
    directory.mkdir()
    plain_tree.make(root, _SMALL_UNITS // 3, 1000)
    entries = [Entry(digest, "", length) for digest, length in storage.stored_blobs(root)]
    source = DirectorySource(root)
    with dask_cluster.cluster(directory / "dask") as cluster:
        pid = cluster.worker("worker").running.pid
        _spread(cluster, directory, entries[:1], source)
        few = _best(runs, lambda: _spread(cluster, directory, entries[:1], source), [pid])
        many = _best(runs, lambda: _spread(cluster, directory, entries, source, 1), [pid])
    each = (many - few) / (len(entries) - 1)
    gigabyte = _best(runs, _gibibyte, ())
    share = 100 * each / gigabyte
    return [
        f"a unit costs {1000 * each:.1f} ms; its 1 GiB takes {gigabyte:.2f} s | {share:.2f} % | under 1 %"
    ]


def _best(runs: int, way: Callable[[], object], pids: Sequence[int]) -> float:
    """Seconds of the quickest of so many runs."""
    return min(_measured(way, (), pids).seconds for _ in range(runs))


def _gibibyte() -> None:
    """Hash 1 GiB as a worker does, without any storage."""
    piece = bytes(1 << 20)
    judged((piece for _ in range(1 << 10)), Entry("", "", 1 << 30), lambda: None, lambda _count: None)


def _many_workers(directory: Path) -> list[str]:
    directory.mkdir()
    rates = {}
    for count in (1, _WORKERS):
        entries = list(simulated.blobs(count * _UNITS_EACH * (CLUSTER_UNIT // simulated.SIZE)))
        with dask_cluster.cluster(directory / f"dask-{count}") as cluster:
            cluster.simulated(count)
            _spread(cluster, directory, entries[:1], simulated.SimulatedSource(), perform=simulated.perform)
            began = time.monotonic()
            _spread(cluster, directory, entries, simulated.SimulatedSource(), perform=simulated.perform)
            rates[count] = len(entries) * simulated.SIZE / (time.monotonic() - began)
    times = rates[_WORKERS] / rates[1]
    said = f"{_WORKERS} workers of {simulated.RATE >> 20} MiB/s each: {rates[_WORKERS] / (1 << 30):.1f} GiB/s"
    return [f"{said} | {times:.1f} times one | at least 50"]


def _planning(directory: Path) -> list[str]:
    """In a process of its own, whose memory is nothing but this."""
    directory.mkdir()
    command = [sys.executable, "-m", "testenv.benchmark.spreading", str(directory)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    said = f"planning {_MANY:,} blobs: {found['units']:,} units, {found['processor']:.0f} CPU s"
    return [
        f"{said} | {found['seconds']:.0f} s | under 60 s",
        f"its memory | {found['memory'] / 1e6:.0f} MB | under 300 MB",
    ]


def _plan(directory: Path) -> dict[str, float]:
    """Cut blobs into units, plant a canary in each, and keep them."""
    began, dice, units = time.monotonic(), random.Random(1), 0
    spool = Spool(directory / "units.db")
    for unit in cut(simulated.blobs(_MANY, 1 << 20), CLUSTER_UNIT):
        planted = canary.plant(unit, simulated.head, dice)
        assert planted is not None
        spool.add(unit, planted)
        units += 1
    spool.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "units": units,
        "seconds": time.monotonic() - began,
        "processor": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss * 1024,
    }


if __name__ == "__main__":
    print(json.dumps(_plan(Path(sys.argv[1]))))
