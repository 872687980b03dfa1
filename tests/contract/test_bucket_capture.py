"""A registry's bucket is copied into a vault, and an inventory says what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.blobs import inventory
from drkit.blobs.bucket.capture import BucketCapture
from drkit.blobs.ends import Ends
from drkit.blobs.inventory import Entry
from drkit.blobs.vault import verifying
from drkit.blobs.vault.object_lock import Locking
from drkit.blobs.vault.pending_copies import PendingCopies
from drkit.model import BucketPlace
from drkit.progress import silent
from drkit.registry import storage
from drkit.tools.s3.bucket import Bucket
from testenv.s3_faults import Fault, Proxy
from tests import buckets

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Bench:
    """Two buckets, and one run after another."""

    source: Bucket
    vault: Bucket
    directory: Path
    locking: Locking = field(default_factory=lambda: Locking(versioned=True))
    entries: list[Entry] = field(default_factory=list)
    damaged: frozenset[str] = frozenset()
    doubts: PendingCopies | None = None

    def store(self, data: bytes, digest: str | None = None) -> str:
        """Put a blob where the registry has its blobs."""
        name = digest or f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.source.put(f"root/{storage.blob_name(name)}", data)
        return name

    def run(self) -> BucketCapture:
        """Capture, and remember the inventory for the next run."""
        ends = Ends(
            self.source,
            BucketPlace(self.source.access.bucket, "root"),
            self.vault,
            BucketPlace(self.vault.access.bucket, "kept"),
        )
        before = list(self.entries)
        capture = BucketCapture(
            ends, self.directory, lambda: before, self.locking, silent, self.doubts, self.damaged
        )
        capture.copy()
        self.entries = list(inventory.from_file(capture.inventory))
        return capture

    def kept(self) -> dict[str, bytes]:
        """Key -> bytes of what the vault has now."""
        return {found.key: self.vault.read_small(found.key) for found in self.vault.listed("kept/")}


@pytest.fixture
def bench(s3: buckets.Service, tmp_path: Path) -> Iterator[Bench]:
    with Bucket(s3.bucket()) as source, Bucket(s3.bucket(versions=True)) as vault:
        yield Bench(source, vault, tmp_path)


def test_blobs_are_copied_and_listed(bench: Bench) -> None:
    digests = sorted(bench.store(f"blob {number}".encode()) for number in range(20))
    found = bench.run()
    assert [entry.digest for entry in bench.entries] == digests
    assert (found.copied.copied, found.copied.bytes, found.bytes) == (20, 130, 130)
    assert {entry.key for entry in bench.entries} == bench.kept().keys()
    for entry in bench.entries:
        data = bench.vault.read_small(entry.key, entry.version)
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == entry.digest
        assert entry.size == len(data)
        assert entry.version


def test_a_run_with_nothing_new_only_lists(bench: Bench) -> None:
    for number in range(20):
        bench.store(f"blob {number}".encode())
    bench.run()
    first = bench.entries
    before = bench.source.client.requests, bench.vault.client.requests
    found = bench.run()
    assert bench.entries == first
    assert found.copied.copied == 0
    assert (bench.source.client.requests - before[0], bench.vault.client.requests - before[1]) == (1, 1)


def test_only_what_is_new_is_copied(bench: Bench) -> None:
    bench.store(b"old")
    bench.run()
    new = bench.store(b"new")
    found = bench.run()
    assert found.copied.copied == 1
    assert new in {entry.digest for entry in bench.entries}
    assert len(bench.entries) == 2


def test_a_tree_in_the_registrys_tree_is_named_and_passed_by(bench: Bench) -> None:
    digest = bench.store(b"blob")
    top = f"root/{storage.BLOBS}"
    for number in (1, 2):
        other = hashlib.sha256(b"%d" % number).hexdigest()
        bench.source.put(f"{top}/sha256/root/{storage.blob_name(f'sha256:{other}')}", b"copied here once")
        bench.source.put(f"{top}/sha256/{other[:2]}/{storage.blob_name(f'sha256:{other}')}", b"and there")
    found = bench.run()
    assert [entry.digest for entry in bench.entries] == [digest]
    (warning,) = found.warnings
    assert f"4 objects, such as {top}/sha256/" in warning


def test_wrong_bytes_are_reported_and_not_spread(bench: Bench) -> None:
    good = bench.store(b"good")
    bad = bench.store(b"rotten", f"sha256:{'ab' * 32}")
    found = bench.run()
    assert [entry.digest for entry in bench.entries] == [good]
    assert list(bench.kept().values()) == [b"good"]
    assert found.is_bad(bad)
    assert not found.is_bad(good)
    (warning,) = found.warnings
    assert bad in warning
    assert found.summary().bad == 1


def test_what_somebody_removes_from_the_vault_is_copied_again_and_told(bench: Bench) -> None:
    digest = bench.store(b"blob")
    bench.run()
    bench.vault.delete([(bench.entries[0].key, None)])
    found = bench.run()
    assert found.copied.copied == 1
    (warning,) = found.warnings
    assert digest in warning
    assert list(bench.kept().values()) == [b"blob"]


def test_what_somebody_writes_over_in_the_vault_is_copied_again(bench: Bench) -> None:
    bench.store(b"blob")
    bench.run()
    bench.vault.put(bench.entries[0].key, b"BLOB")
    assert bench.run().count.vanished.count == 1
    assert bench.vault.read_small(bench.entries[0].key, bench.entries[0].version) == b"blob"
    assert list(bench.kept().values()) == [b"blob"]


@pytest.mark.parametrize("versions", [True, False])
def test_a_vault_that_keeps_no_versions_any_more_or_never_did(
    s3: buckets.Service, tmp_path: Path, versions: bool
) -> None:
    access = s3.bucket(versions=versions)
    with Bucket(s3.bucket()) as source, Bucket(access) as vault:
        bench = Bench(source, vault, tmp_path, Locking(versioned=versions))
        for number in range(3):
            bench.store(b"blob %d" % number)
        bench.run()
        before = bench.entries
        if versions:
            suspended = {"Status": "Suspended"}
            s3.api().put_bucket_versioning(Bucket=access.bucket, VersioningConfiguration=suspended)
        bench.locking = Locking(versioned=False, suspended=versions)
        # So long that it comes in parts.
        bench.store(bytes(9 << 20))
        bench.vault.put(before[0].key, b"BLOB 0")
        for copied, vanished in ((2, 1), (0, 0)) if versions else ((1, 0), (0, 0)):
            found = bench.run()
            assert (found.copied.copied, found.count.vanished.count) == (copied, vanished)
            assert set(before[1:]) < set(bench.entries)
            new = {entry.version for entry in set(bench.entries) - set(before)}
            assert new == {None}
            place = BucketPlace(access.bucket, "kept")
            assert verifying.missing(vault, place, bench.entries) == ()


def test_what_was_copied_before_a_run_was_cut_off_is_not_copied_again(bench: Bench) -> None:
    bench.store(b"one")
    bench.run()
    # The run was never sealed: the next one knows of no inventory.
    bench.entries = []
    bench.store(b"two")
    assert bench.run().copied.copied == 1
    assert len(bench.entries) == 2


def test_blobs_are_locked_as_they_come_and_again_when_the_lock_grows_short(
    s3: buckets.Service, tmp_path: Path
) -> None:
    with Bucket(s3.bucket()) as source, Bucket(s3.bucket(locks=True)) as vault:
        bench = Bench(source, vault, tmp_path)
        bench.locking = Locking(True, NOW + timedelta(days=30), NOW + timedelta(days=40))
        bench.store(b"blob")
        assert bench.run().summary().locked_until == NOW + timedelta(days=40)
        (entry,) = bench.entries
        assert vault.locked_until(entry.key, entry.version) == NOW + timedelta(days=40)

        # Nine days later the lock still lasts: nothing is asked of the vault but its listing.
        bench.locking = Locking(True, NOW + timedelta(days=39), NOW + timedelta(days=49))
        before = vault.client.requests
        bench.run()
        assert vault.client.requests - before == 1
        assert bench.entries == [entry]

        bench.locking = Locking(True, NOW + timedelta(days=41), NOW + timedelta(days=51))
        bench.run()
        assert vault.locked_until(entry.key, entry.version) == NOW + timedelta(days=51)
        assert bench.entries[0].locked_until == NOW + timedelta(days=51)


def test_wrong_bytes_that_the_service_has_copied_without_a_word_do_not_stay(
    s3: buckets.Service, tmp_path: Path
) -> None:
    with Proxy(s3.endpoint) as proxy:
        service = s3.behind(proxy.endpoint)
        with Bucket(service.bucket()) as source, Bucket(service.bucket(versions=True)) as vault:
            doubts = PendingCopies(tmp_path / "copying")
            bench = Bench(source, vault, tmp_path, doubts=doubts)
            good, rotten = bench.store(b"blob"), bench.store(b"rotten", f"sha256:{'ab' * 32}")
            unanswered = f"PUT /{vault.access.bucket}/kept/{storage.blob_name(rotten)}"
            proxy.add(Fault(unanswered, error=(503, "SlowDown"), late=True, times=100))
            assert bench.run().copied.bad.first == (rotten,)
            assert list(bench.kept().values()).count(b"rotten") == 1
            # What the next run begins with.
            assert doubts.settle(vault, BucketPlace(vault.access.bucket, "kept")) == 1
            assert list(bench.kept().values()) == [b"blob"]
            assert [entry.digest for entry in bench.entries] == [good]
            assert list(doubts.directory.iterdir()) == []
