"""Blobs that workers of a cluster copy: into a vault, and from there into a directory that they share.

Machines are network namespaces, all of them speak TLS, and buckets are of an S3 service.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from drkit.blobs import inventory
from drkit.blobs.bucket.capture import BucketCapture
from drkit.blobs.ends import Ends
from drkit.blobs.vault.object_lock import Locking
from drkit.model import BucketPlace
from drkit.progress import silent
from drkit.registry import storage
from drkit.tools.s3.bucket import Access, Bucket
from testenv import dask_certificates, dask_cluster, namespaces
from testenv.dask_certificates import Tls
from testenv.dask_cluster import Cluster, Process
from testenv.namespaces import Machine
from tests import buckets, needs
from tests.buckets import Service

TOP = Path(__file__).parents[2]
_PREFIXES = ("00", "01", "02", "03")
_EACH = 10
_BYTES = 150_000
_ROTTEN = f"sha256:02{'a' * 62}"
_SOURCE, _VAULT = 9000, 9001


@dataclass(frozen=True)
class Machines:
    """One for the scheduler, one for the client, one that has the buckets, and three for workers."""

    scheduler: Machine
    client: Machine
    storage: Machine
    workers: tuple[Machine, ...]
    tls: Tls


@dataclass
class Bench:
    """A cluster with two good workers, and a registry's bucket; `directory` is what everybody sees."""

    machines: Machines
    cluster: Cluster
    directory: Path
    s3: Service
    keys: Path
    source: Access
    right: dict[str, int]

    def worker(self, number: int, before: Sequence[str] = (), **environment: str) -> Process:
        """Start the worker of that machine."""
        machine, name = self.machines.workers[number], f"worker-{number}-{time.monotonic_ns()}"
        own = {"BENCH": str(self.directory), **environment}
        return self.cluster.worker(name, machine, own, before=before)

    def bucket(self, access: Access, port: int) -> dict[str, object]:
        """What a configuration on those machines says of a bucket."""
        return {
            "bucket": access.bucket,
            "endpoint": f"http://{self.machines.storage.address}:{port}",
            "region": access.region,
            "credentials_file": str(self.keys),
        }

    def begin(self, work: str = "", **what: object) -> subprocess.Popen[bytes]:
        """Begin something on the client's machine."""
        tls, named = self.machines.tls, {"work": work} if work else {}
        files = {"ca_file": tls.ca_file, "cert_file": tls.cert_file, "key_file": tls.key_file}
        spec = {"cluster": {"scheduler": self.cluster.address, **files}, "scratch": self.directory}
        path = self.directory / f"spec-{time.monotonic_ns()}.json"
        path.write_text(json.dumps({**spec, **named, **what, "unit": 1 << 30}, default=str))
        return subprocess.Popen(
            self.machines.client.command([sys.executable, "-m", "tests.dask_client", path]),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=TOP,
        )

    def copying(self, vault: Bucket, work: str = "", **more: object) -> subprocess.Popen[bytes]:
        """Begin to copy everything into a vault."""
        ends = {"source": self.bucket(self.source, _SOURCE), "vault": self.bucket(vault.access, _VAULT)}
        return self.begin(work, capture={**ends, **more})

    def copied(self, vault: Bucket, work: str = "", **more: object) -> dict[str, Any]:
        """The same, waiting for what comes of it."""
        return result(self.copying(vault, work, **more))

    def fetched(self, root: Path) -> dict[str, Any]:
        """Bring everything that the registry has into a directory."""
        fetch = {"vault": self.bucket(self.source, _SOURCE), "root": root}
        return result(self.begin(fetch=fetch))

    def begun(self) -> int:
        """How many units of those that wait for `go` have begun."""
        return len(list(self.directory.glob("began-*")))

    def release(self) -> None:
        """Let units that have begun go on."""
        (self.directory / "go").touch()

    def is_whole(self, found: dict[str, Any], vault: Bucket) -> bool:
        """Whether everything that is right is on the inventory, and in the vault by that version."""
        listed = {digest: size for digest, size, _version in found["inventory"]}
        data = (vault.read_small(name(digest), version) for digest, _size, version in found["inventory"])
        hashed = [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in data]
        return listed == self.right and sorted(hashed) == sorted(listed) and found["bad"] == [_ROTTEN]


def result(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    output, _ = client.communicate(timeout=200)
    assert client.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


def name(digest: str) -> str:
    return str(storage.blob_name(digest))


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    needs.program("ip")
    if os.geteuid() != 0:
        needs.missing("network namespaces need root")
    tls = dask_certificates.make(tmp_path_factory.mktemp("tls"))
    with namespaces.network(6) as (scheduler, client, where, *workers):
        yield Machines(scheduler, client, where, tuple(workers), tls)


@pytest.fixture(scope="module")
def stand(machines: Machines, s3: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("stand")
    access = s3.bucket()
    keys = directory / "s3.keys"
    keys.write_text("".join(f"{key}={value}\n" for key, value in s3.credentials.items()))
    keys.chmod(0o600)
    there = machines.storage
    with ExitStack() as stack:
        with Bucket(access) as source:
            right = filled(source)
        for port in (_SOURCE, _VAULT):
            stack.enter_context(namespaces.serving(there, there.address, port, host(s3)))
        made = stack.enter_context(dask_cluster.cluster(directory / "dask", machines.tls, machines.scheduler))
        bench = Bench(machines, made, directory, s3, keys, access, right)
        for number in (0, 1):
            bench.worker(number)
        yield bench


@pytest.fixture
def bench(stand: Bench) -> Bench:
    for path in (*stand.directory.glob("began-*"), stand.directory / "go"):
        path.unlink(missing_ok=True)
    return stand


@pytest.fixture
def vault(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket(versions=True)) as opened:
        yield opened


def host(service: Service) -> tuple[str, int]:
    where = urlsplit(service.endpoint)
    return where.hostname or "", where.port or 80


def filled(source: Bucket) -> dict[str, int]:
    """Put blobs of a few prefixes, one that goes up in parts, one without a byte, one that is not right."""
    right = {}
    start = hashlib.sha256(common := bytes(_BYTES))
    wanted, number = [prefix for prefix in _PREFIXES for _ in range(_EACH)], 0
    while wanted:
        number += 1
        end = number.to_bytes(8, "big")
        hasher = start.copy()
        hasher.update(end)
        if (digits := hasher.hexdigest())[:2] in wanted:
            wanted.remove(digits[:2])
            source.put(name(f"sha256:{digits}"), common + end)
            right[f"sha256:{digits}"] = _BYTES + 8
    for data in (bytes(9 << 20), b""):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        source.put(name(digest), data)
        right[digest] = len(data)
    source.put(name(_ROTTEN), b"rotten" * 1000)
    return right


def test_a_vault_that_workers_filled_is_as_one_that_threads_filled(
    bench: Bench, vault: Bucket, tmp_path: Path
) -> None:
    received = [bench.machines.scheduler.received, bench.machines.client.received]
    before = [each() for each in received]
    found = bench.copied(vault)
    after = [each() for each in received]
    assert bench.is_whole(found, vault)
    assert (found["shared"]["workers"], found["shared"]["set_aside"]) == (2, [])
    with Bucket(bench.s3.bucket(versions=True)) as other, Bucket(bench.source) as source:
        ends = Ends(source, BucketPlace(source.access.bucket), other, BucketPlace(other.access.bucket))
        capture = BucketCapture(ends, tmp_path, lambda: iter(()), Locking(versioned=True), silent)
        capture.copy()
        alone = [(entry.digest, entry.size) for entry in inventory.from_file(capture.inventory)]
    assert [(digest, size) for digest, size, _version in found["inventory"]] == alone
    total = sum(bench.right.values())
    assert [late - early < total / 4 for early, late in zip(before, after, strict=True)] == [True] * 2
    assert len(list(vault.listed("", versions=True))) == len(bench.right)


def test_what_workers_put_is_locked(bench: Bench, s3: Service) -> None:
    wanted = datetime.now(UTC).replace(microsecond=0) + timedelta(days=40)
    with Bucket(s3.bucket(versions=True, locks=True)) as vault:
        found = bench.copied(vault, until=wanted.isoformat())
        assert bench.is_whole(found, vault)
        for digest, _size, version in found["inventory"]:
            assert vault.locked_until(name(digest), version) == wanted


def test_the_copies_of_a_worker_that_is_killed_are_made_by_others(bench: Bench, vault: Bucket) -> None:
    victim = bench.worker(2)
    client = bench.copying(vault, "halfway")
    until(lambda: bench.begun() >= 3)
    assert any(path.name.split("-")[1] == str(victim.running.pid) for path in bench.directory.glob("began-*"))
    victim.kill()
    bench.release()
    found = result(client)
    assert bench.is_whole(found, vault)
    assert not list(vault.unfinished(""))


@pytest.mark.parametrize("how", ["lying", "astray"])
def test_nothing_counts_of_a_worker_that_copies_nothing_or_elsewhere(
    bench: Bench, vault: Bucket, how: str, tmp_path: Path
) -> None:
    machine = bench.machines.workers[2]
    with other_vault(bench, machine, vault, tmp_path) if how == "astray" else nothing():
        wrong = bench.worker(2, **({"LIES": "yes"} if how == "lying" else {}))
        found = bench.copied(vault, "lying" if how == "lying" else "")
        wrong.kill()
    assert bench.is_whole(found, vault)
    (said,) = found["shared"]["set_aside"]
    assert machine.address in said
    assert ("answered wrongly for a planted blob" if how == "lying" else "is not there") in said


def test_what_workers_call_wrong_is_left_out_only_if_it_is(bench: Bench, vault: Bucket) -> None:
    found = bench.copied(vault, "accusing")
    assert bench.is_whole(found, vault)
    assert all("that this machine finds right" in said for said in found["shared"]["set_aside"])
    assert found["shared"]["set_aside"]


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def other_vault(bench: Bench, machine: Machine, vault: Bucket, home: Path) -> Iterator[None]:
    """On that machine the vault's address is another service's, which has a bucket of that name."""
    address = bench.machines.storage.address
    with ExitStack() as stack:
        other = stack.enter_context(buckets.service(home / "s3"))
        other.api().create_bucket(Bucket=vault.access.bucket)
        stack.enter_context(machine.owning(address))
        for port, service in ((_SOURCE, bench.s3), (_VAULT, other)):
            stack.enter_context(namespaces.serving(machine, address, port, host(service)))
        yield


def test_what_a_second_worker_puts_later_is_not_left_over_what_counts(bench: Bench, vault: Bucket) -> None:
    found = bench.copied(vault, "twice")
    assert (bench.directory / "twice").exists()
    assert bench.is_whole(found, vault)
    named = {(name(digest), version) for digest, _size, version in found["inventory"]}
    every = list(vault.listed("", versions=True))
    assert len(every) > len(named)
    assert {(each.key, each.version) for each in every if each.latest} == named


def test_a_directory_that_all_of_them_see_is_filled_by_workers(bench: Bench, tmp_path: Path) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    found = bench.fetched(root)
    assert (found["shared"]["workers"], found["kept"]) == (2, 0)
    assert sorted(found["arrived"]) == sorted(bench.right)
    (fault,) = found["faults"]
    assert _ROTTEN in fault
    files = {path for path in root.rglob("*") if path.is_file()}
    assert files == {storage.blob_path(root, digest) for digest in bench.right}
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name for path in files)
    # What is there is hashed and kept, by workers too, if it is right.
    lost, spoilt = sorted(files)[:2]
    lost.unlink()
    spoilt.write_bytes(spoilt.read_bytes()[::-1])
    assert bench.fetched(root)["kept"] == len(files) - 2
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name for path in files)


def test_a_worker_that_sees_another_directory_writes_nothing(bench: Bench, tmp_path: Path) -> None:
    root, own = tmp_path / "shared", tmp_path / "own"
    root.mkdir()
    own.mkdir()
    mount = f'mount --bind {own} {root} && exec "$0" "$@"'
    astray = bench.worker(2, before=["unshare", "--mount", "sh", "-c", mount])
    found = bench.fetched(root)
    astray.kill()
    assert sorted(found["arrived"]) == sorted(bench.right)
    assert list(own.iterdir()) == []


def test_nothing_is_copied_any_more_for_a_client_that_is_killed(bench: Bench, vault: Bucket) -> None:
    client = bench.copying(vault, "halfway")
    until(lambda: bench.begun() == 2)
    told = bench.cluster.processes[0].log.read_text().count("Remove client")
    client.kill()
    client.communicate()
    until(lambda: bench.cluster.processes[0].log.read_text().count("Remove client") > told)
    there = {found.key for found in vault.listed("")}
    bench.release()
    # A worker has room for this only when it has ended what it was doing.
    other = bench.s3.bucket(versions=True)
    with Bucket(other) as elsewhere:
        assert bench.is_whole(bench.copied(elsewhere), elsewhere)
    assert {found.key for found in vault.listed("")} == there
    assert bench.is_whole(bench.copied(vault), vault)
