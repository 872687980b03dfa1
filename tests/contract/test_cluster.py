"""Units on the workers of a real scheduler: machines are network namespaces, and all of them speak TLS."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drkit.blobs.inventory import Entry
from drkit.blobs.units.executors import Threads
from drkit.blobs.units.sources import DirectorySource
from drkit.blobs.units.unit import Outcome, Wrong
from drkit.blobs.units.work import Hashing
from drkit.progress import Meter, silent
from drkit.registry import storage
from testenv import dask_certificates, dask_cluster, namespaces
from testenv.dask_certificates import Tls
from testenv.dask_cluster import Cluster, Process
from testenv.namespaces import Machine
from tests import needs

TOP = Path(__file__).parents[2]
_BLOBS = 60
_BYTES = 40_000
# The first of all, and without a byte: no canary can be made of it.
_EMPTIED = f"sha256:{0:064x}"


@dataclass(frozen=True)
class Machines:
    """One for the scheduler, one for the client, and three for workers."""

    scheduler: Machine
    client: Machine
    workers: tuple[Machine, ...]
    tls: Tls


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    needs.program("ip")
    if os.geteuid() != 0:
        needs.missing("network namespaces need root")
    tls = dask_certificates.make(tmp_path_factory.mktemp("tls"))
    with namespaces.network(5) as (scheduler, client, *workers):
        yield Machines(scheduler, client, tuple(workers), tls)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's root directory; one blob has other bytes than its name says, and one has none."""
    top = tmp_path_factory.mktemp("registry")
    dice = random.Random(7)
    for _ in range(_BLOBS):
        data = dice.randbytes(_BYTES)
        path = storage.blob_path(top, f"sha256:{hashlib.sha256(data).hexdigest()}")
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    path = storage.blob_path(top, damaged(top))
    path.write_bytes(path.read_bytes()[::-1])
    emptied = storage.blob_path(top, _EMPTIED)
    emptied.parent.mkdir(parents=True)
    emptied.touch()
    return top


def damaged(root: Path) -> str:
    """The blob that is."""
    return sorted(digest for digest, size in storage.stored_blobs(root) if size)[_BLOBS // 2]


@dataclass
class Bench:
    """A cluster and a client of it; `directory` is what everybody sees."""

    machines: Machines
    cluster: Cluster
    directory: Path
    root: Path

    def worker(self, number: int, **environment: str) -> Process:
        """Start the worker of that machine."""
        own = {"BENCH": str(self.directory), **environment}
        return self.cluster.worker(f"worker-{number}", self.machines.workers[number], own)

    def client(self, work: str = "", unit: int = 1 << 20, **cluster: object) -> subprocess.Popen[bytes]:
        """Begin to read everything."""
        tls = self.machines.tls
        settings = {"ca_file": tls.ca_file, "cert_file": tls.cert_file, "key_file": tls.key_file, **cluster}
        spec = {
            "cluster": {"scheduler": self.cluster.address, **settings},
            "root": self.root,
            "scratch": self.directory,
            "unit": unit,
            **({"work": work} if work else {}),
        }
        path = self.directory / f"spec-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(spec, default=str))
        with self.said.open("wb") as said:
            return subprocess.Popen(
                self.machines.client.command([sys.executable, "-m", "tests.dask_client", path]),
                stdout=subprocess.PIPE,
                stderr=said,
                cwd=TOP,
            )

    @property
    def said(self) -> Path:
        """What the client has said beside its result."""
        return self.directory / "client.log"

    def read(self, work: str = "", **cluster: Any) -> dict[str, Any]:
        """Read everything, and wait for what came of it."""
        return result(self.client(work, **cluster))

    def begun(self) -> set[int]:
        """The processes of workers that have begun a unit."""
        return {int(path.name.split("-")[1]) for path in self.directory.glob("began-*")}

    def release(self) -> None:
        """Let units that have begun go on."""
        (self.directory / "go").touch()


def result(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    output, _ = client.communicate(timeout=200)
    assert client.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.02)


@pytest.fixture
def bench(machines: Machines, root: Path, tmp_path: Path) -> Iterator[Bench]:
    with dask_cluster.cluster(tmp_path / "dask", machines.tls, machines.scheduler) as made:
        yield Bench(machines, made, tmp_path, root)


def is_all_right(found: dict[str, Any], root: Path) -> bool:
    """Whether every blob was read once, and the damaged one was found."""
    every = [digest for digest, _size in storage.stored_blobs(root)]
    wrong = dict.fromkeys((damaged(root), _EMPTIED), "bytes")
    return "error" not in found and found["read"] == every and found["wrong"] == wrong


def test_two_workers_find_what_threads_find_and_blobs_do_not_pass_the_scheduler(bench: Bench) -> None:
    for number in (0, 1):
        bench.worker(number)
    before = [machine.received() for machine in (bench.machines.scheduler, bench.machines.client)]
    found = bench.read()
    after = [machine.received() for machine in (bench.machines.scheduler, bench.machines.client)]
    assert is_all_right(found, bench.root)
    assert found["shared"]["workers"] == 2
    assert found["shared"]["set_aside"] == []
    came: dict[str, Outcome] = {}
    entries = (Entry(digest, "", size) for digest, size in storage.stored_blobs(bench.root))
    threads = Threads(2)
    hashing = Hashing(DirectorySource(bench.root))
    threads.run(entries, hashing, lambda e, o: came.update({e.digest: o}), Meter(silent, "", None))
    wrong = {digest: each.kind for digest, each in came.items() if isinstance(each, Wrong)}
    assert wrong == found["wrong"]
    assert sorted(came) == found["read"]
    assert [late - early < _BLOBS * _BYTES / 2 for early, late in zip(before, after, strict=True)] == [
        True
    ] * 2


def test_the_units_of_a_worker_that_is_killed_are_done_by_the_other(bench: Bench) -> None:
    first, second = bench.worker(0), bench.worker(1)
    client = bench.client("gated")
    until(lambda: len(bench.begun()) == 2)
    first.kill()
    bench.release()
    found = result(client)
    assert is_all_right(found, bench.root)
    assert found["shared"]["workers"] == 1
    assert second.running.poll() is None


def test_a_run_without_any_worker_left_is_not_green(bench: Bench) -> None:
    worker = bench.worker(0)
    client = bench.client("gated", worker_wait="2s")
    until(bench.begun)
    worker.kill()
    found = result(client)
    assert found["error"]["kind"] == "cluster_failed"
    assert "has no worker that can be used" in found["error"]["message"]
    assert (found["read"], found["error"]["code"]) == ([], 7)


def test_a_scheduler_that_dies_ends_the_run_with_a_word_and_nothing_else(bench: Bench) -> None:
    bench.worker(0)
    client = bench.client("gated")
    until(bench.begun)
    bench.cluster.processes[0].kill()
    found = result(client)
    assert (found["error"]["kind"], found["read"]) == ("cluster_unreachable", [])
    assert "Traceback" not in bench.said.read_text()
    # And so ends one that finds none.
    assert bench.read()["error"]["kind"] == "cluster_unreachable"
    assert "Traceback" not in bench.said.read_text()


def test_a_worker_that_stands_still_is_not_waited_for(bench: Bench) -> None:
    frozen = bench.worker(0)
    bench.worker(1)
    # Still connected, as the scheduler sees it.
    frozen.kill(signal.SIGSTOP)
    found = bench.read(slow_after="1s")
    assert is_all_right(found, bench.root)
    assert found["shared"]["workers"] == 1


def test_what_a_slow_worker_is_doing_ends_when_another_has_done_it(bench: Bench) -> None:
    bench.worker(0, HANGS="yes")
    bench.worker(1)
    assert is_all_right(bench.read("hanging", slow_after="1s"), bench.root)
    until(lambda: list(bench.directory.glob("unwanted-*")))


def test_a_worker_that_lies_is_found_and_nothing_of_it_counts(bench: Bench) -> None:
    bench.worker(0, LIES="yes")
    bench.worker(1)
    found = bench.read("lying")
    assert is_all_right(found, bench.root)
    (said,) = found["shared"]["set_aside"]
    assert "answered wrongly for a planted blob" in said
    assert bench.machines.workers[0].address in said
    assert found["shared"]["workers"] == 1


def test_a_unit_that_fails_three_times_fails_the_whole_by_name(bench: Bench) -> None:
    last = max(digest for digest, _size in storage.stored_blobs(bench.root))
    for number in (0, 1):
        bench.worker(number, FAILS=last[-12:])
    found = bench.read("failing")
    assert found["error"]["kind"] == "cluster_failed"
    assert last[:19] in found["error"]["message"]
    assert "failed 3 times" in found["error"]["message"]
    assert "the disk is on fire" in found["error"]["message"]
    assert found["read"] == []


def test_a_worker_with_another_drkit_is_refused(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(TOP / "drkit", other / "drkit", ignore=shutil.ignore_patterns("__pycache__"))
    (other / "drkit/__init__.py").write_text('"""Of another time."""\n__version__ = "0.0.1"\n')
    bench.worker(0, PYTHONPATH=str(other))
    found = bench.read()
    assert found["error"]["kind"] == "cluster_failed"
    assert "it has drkit 0.0.1, and this machine" in found["error"]["message"]
    bench.worker(1)
    found = bench.read()
    assert is_all_right(found, bench.root)
    assert found["shared"]["workers"] == 1


def test_a_cluster_stops_working_for_a_client_that_is_killed(bench: Bench) -> None:
    bench.worker(0)
    client = bench.client("gated")
    until(bench.begun)
    (running,) = subprocess.run(
        ["ip", "netns", "pids", bench.machines.client.namespace], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(running), signal.SIGKILL)
    client.communicate()
    until(lambda: "Remove client" in bench.cluster.processes[0].log.read_text())
    count = len(list(bench.directory.glob("began-*")))
    bench.release()
    assert is_all_right(bench.read(), bench.root)
    assert len(list(bench.directory.glob("began-*"))) == count == 1


def test_who_has_no_certificate_of_the_cluster_is_not_answered(bench: Bench, tmp_path: Path) -> None:
    stranger = dask_certificates.make(tmp_path / "stranger")
    files = {"ca_file": stranger.ca_file, "cert_file": stranger.cert_file, "key_file": stranger.key_file}
    found = bench.read("", **files)
    assert found["error"]["kind"] == "cluster_unreachable"
    assert bench.cluster.address in found["error"]["message"]
