"""Who works in a vault: tried with two machines, and with clones of one, at one bucket."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drkit.blobs.vault.leases import STALE, HeldLease, abandoned, held, leases, reading, sweep, wait_for
from drkit.errors import SiteLocked, ToolFailed
from drkit.model import BucketPlace
from drkit.registry import storage
from drkit.tools.process import own
from drkit.tools.process.own import ProcessName
from drkit.tools.s3.bucket import Bucket, Upload
from testenv.s3_faults import Fault, Proxy, Request
from tests.buckets import Service

NO_TIME = timedelta(0)
BLOB = str(storage.blob_name(f"sha256:{'ab' * 32}"))


@pytest.fixture
def vault(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket(versions=True)) as opened:
        yield opened


@pytest.fixture
def place(vault: Bucket) -> BucketPlace:
    return BucketPlace(vault.access.bucket, "deep/vault", vault.access.endpoint)


@contextmanager
def backing_up(
    vault: Bucket,
    place: BucketPlace,
    run: str,
    machine: str = "here",
    wait: timedelta = NO_TIME,
    stale: timedelta = STALE,
) -> Iterator[HeldLease]:
    with held(vault, place, run, "backup", machine, stale=stale) as lease:
        wait_for(lease, lambda other: other.work == "expire", wait, timedelta(milliseconds=50))
        yield lease


def dead_process() -> ProcessName:
    """One of this machine that has ended."""
    ask = (
        "from drkit.tools.process import own; from dataclasses import asdict; import json;"
        "print(json.dumps(asdict(own.own())))"
    )
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
    return ProcessName(**json.loads(said))


def test_a_lease_lasts_as_long_as_the_work(vault: Bucket, place: BucketPlace) -> None:
    with held(vault, place, "run-1", "expire", "here", every=timedelta(milliseconds=50)) as lease:
        first = vault.first("deep/vault/drkit/leases/")
        threading.Event().wait(0.5)
        (only,) = leases(vault, place)
        assert (only.run, only.work, only.machine) == ("run-1", "expire", "here")
        lease.check()
        later = list(vault.listed("deep/vault/drkit/leases/", versions=True))
        # Each refreshing removes the version before it.
        assert len(later) <= 2
        assert first is not None
    assert not list(vault.listed("", versions=True))


def test_expire_sees_a_backup_and_a_backup_an_expire(vault: Bucket, place: BucketPlace) -> None:
    with backing_up(vault, place, "run-1"), held(vault, place, "run-2", "expire", "there") as lease:
        assert [(other.work, other.run) for other in lease.others()] == [("backup", "run-1")]
    with held(vault, place, "run-2", "expire", "there"):
        with pytest.raises(SiteLocked, match=r"expire \(run run-2 on"), backing_up(vault, place, "run-3"):
            pytest.fail("it has not waited")
        # It is gone when it has given up, or the next expire would wait for it.
        assert [lease.run for lease in leases(vault, place)] == ["run-2"]


def test_a_backup_waits_for_expire(vault: Bucket, place: BucketPlace) -> None:
    over = threading.Event()
    with held(vault, place, "run-2", "expire", "there") as other:

        def end() -> None:
            over.set()
            other.end()

        timer = threading.Timer(0.3, end)
        timer.start()
        with backing_up(vault, place, "run-3", wait=timedelta(seconds=30)):
            assert over.is_set()
        timer.join()


def test_a_restore_and_a_drill_are_seen_and_keep_no_backup_waiting(vault: Bucket, place: BucketPlace) -> None:
    with (
        reading(vault, place, "run-1", "restore", "here"),
        reading(vault, place, "run-2", "drill", "there"),
        backing_up(vault, place, "run-3", "there") as lease,
    ):
        assert sorted(other.work for other in lease.others()) == ["drill", "restore"]
    assert not list(vault.listed())


def test_a_vault_that_lets_nobody_write_is_read_all_the_same(
    s3: Service, vault: Bucket, place: BucketPlace, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(request: Request) -> Fault | None:
        return Fault(error=(403, "AccessDenied")) if request.method == "PUT" else None

    with Proxy(s3.endpoint) as proxy, Bucket(replace(vault.access, endpoint=proxy.endpoint)) as refusing:
        proxy.plan = refuse
        with reading(refusing, place, "run-1", "restore", "here"):
            pass
    assert [request.method for request in proxy.seen] == ["PUT"]
    assert "an expire elsewhere does not see this restore" in caplog.text


def test_the_lease_of_a_process_that_is_dead_counts_for_nothing(vault: Bucket, place: BucketPlace) -> None:
    HeldLease(vault, place, "dead", "expire", "here", process=dead_process()).write()
    with backing_up(vault, place, "run-1") as lease:
        assert sweep(lease) == 1
        assert [found.run for found in leases(vault, place)] == ["run-1"]


@pytest.mark.parametrize("change", [{"boot": "another"}, {"host": "another.example.com"}, {}])
def test_in_a_copy_of_the_machine_somebody_may_work(
    vault: Bucket, place: BucketPlace, change: dict[str, Any]
) -> None:
    """The state directory is the same, and so may be the host's name and the number of the process."""
    process = replace(own.own() if not change else dead_process(), **change)
    HeldLease(vault, place, "clone", "backup", "here", process=process).write()
    with held(vault, place, "run-1", "expire", "here") as lease:
        assert [other.run for other in lease.others()] == ["clone"]
        assert sweep(lease) == 0


def test_an_old_lease_counts_for_nothing(vault: Bucket, place: BucketPlace) -> None:
    HeldLease(vault, place, "dead", "expire", "there").write()
    with backing_up(vault, place, "run-1", stale=NO_TIME) as lease:
        with pytest.raises(ToolFailed, match="could not be kept fresh"):
            lease.check()
        assert sweep(lease) == 1


@pytest.mark.parametrize("content", [[], {"run": "r", "work": "w", "machine": "m", "process": asdict}])
def test_what_is_no_lease_of_ours_counts_as_work(vault: Bucket, place: BucketPlace, content: object) -> None:
    vault.put("deep/vault/drkit/leases/odd.json", json.dumps(content, default=str).encode())
    with held(vault, place, "run-1", "expire", "here") as lease:
        assert [other.work for other in lease.others()] == ["something"]


def test_uploads_of_dead_runs_are_swept_and_nobody_elses(vault: Bucket, place: BucketPlace) -> None:
    ours, others = f"deep/vault/{BLOB}", ["deep/vault/docker/x", f"{BLOB}", f"deep/vault/{BLOB}/x", "x"]
    # One tree in another: a copy that somebody has made there.
    others.append(f"deep/vault/docker/registry/v2/blobs/sha256/{BLOB}")
    for key in (ours, *others):
        vault.client.call(vault.client.api.create_multipart_upload, Key=key)
    with held(vault, place, "run-1", "backup", "here") as lease:
        with held(vault, place, "run-2", "backup", "there"):
            assert sweep(lease) == 0
        assert sweep(lease) == 1
    assert sorted(upload.key for upload in vault.unfinished("")) == sorted(others)


def test_what_was_begun_later_is_somebody_elses() -> None:
    top, moment = "kept/docker/registry/v2/blobs/sha256/", datetime(2026, 11, 28, tzinfo=UTC)
    key = f"kept/{BLOB}"
    before, after = Upload(key, "1", moment), Upload(key, "2", moment + timedelta(seconds=1))
    assert list(abandoned([before, after, before._replace(key="x")], top, moment)) == [before]
