"""Blobs that are damaged in a vault: found, remembered there, copied again, and found right again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault import damage, verifying
from drkit.blobs.vault import fetching as bucket_restore
from drkit.blobs.vault.data import VaultData
from drkit.blobs.vault.reading import VaultReader, key_of
from drkit.errors import ToolFailed
from drkit.model import BucketPlace
from drkit.progress import Meter, silent
from drkit.registry import storage
from drkit.tools.s3.bucket import Bucket
from tests.buckets import Service
from tests.contract.test_bucket_capture import Bench

DATA = b"what the blob should be"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@dataclass
class Vault:
    """A vault that keeps versions, and one blob in it."""

    bucket: Bucket
    shelf: VaultReader

    @property
    def key(self) -> str:
        return key_of(self.shelf.place, DIGEST)

    def put(self, data: bytes) -> Entry:
        """Put a version; the entry of an inventory that names it."""
        return Entry(DIGEST, self.key, len(DATA), self.bucket.put(self.key, data))


@pytest.fixture
def vault(s3: Service) -> Iterator[Vault]:
    with Bucket(s3.bucket(versions=True)) as bucket:
        yield Vault(bucket, VaultReader(bucket, BucketPlace(bucket.access.bucket, "kept"), original=True))


def test_what_is_found_is_remembered_until_it_is_right(vault: Vault) -> None:
    bucket, place = vault.bucket, vault.shelf.place
    damage.remember(bucket, place, "run-0", "verify", [])
    assert damage.remembered(bucket, place) == ()
    damage.remember(bucket, place, "run-1", "verify", [ONE, TWO], 3)
    damage.remember(bucket, place, "run-2", "drill", [TWO])
    known = damage.remembered(bucket, place)
    assert damage.digests(known) == {ONE, TWO}
    assert "2 damaged blobs and 3 locks that end too early in the vault" in known[0].sentence
    damage.settle(bucket, known, [TWO])
    (left,) = damage.remembered(bucket, place)
    assert (left.digests, left.locks, left.found_by) == (frozenset({ONE}), 3, "verify")
    damage.settle(bucket, [left], [ONE])
    (left,) = damage.remembered(bucket, place)
    damage.settle(bucket, [left], [], locks=True)
    assert damage.remembered(bucket, place) == ()
    bucket.put("kept/drkit/damage/odd.json", b"[]")
    with pytest.raises(ToolFailed, match="cannot be read"):
        damage.remembered(bucket, place)


@pytest.mark.parametrize("versioned", [True, False])
def test_a_damaged_blob_is_copied_again_by_the_next_backup(
    s3: Service, tmp_path: Path, versioned: bool
) -> None:
    with Bucket(s3.bucket()) as source, Bucket(s3.bucket(versions=versioned)) as bucket:
        bench = Bench(source, bucket, tmp_path)
        bench.locking = replace(bench.locking, versioned=versioned)
        digests = [bench.store(b"blob %d" % number) for number in range(5)]
        bench.run()
        entry = bench.entries[2]
        bucket.put(entry.key, b"BLOB " + bench.kept()[entry.key][-1:])
        gone = f"sha256:{'ab' * 32}"
        bench.damaged = frozenset({entry.digest, gone})
        if versioned:
            # As it were rot: the version that the inventory names is the damaged one.
            bench.entries[2] = entry._replace(version=bucket.first(entry.key) and _latest(bucket, entry.key))
        found = bench.run()
        assert found.repaired == [entry.digest]
        assert found.copied.copied == 1
        said = " / ".join(found.warnings)
        assert (
            "blobs that were found damaged in the vault were copied again from production (1):"
            f" {entry.digest}" in said
        )
        assert (
            f"production does not have them any more, so that older points cannot bring them back: {gone}"
            in said
        )
        assert {hashlib.sha256(data).hexdigest() for data in bench.kept().values()} == {
            digest.removeprefix("sha256:") for digest in digests
        }


def read_as_found(shelf: VaultReader, entry: Entry, directory: Path) -> bytes:
    """What comes of a blob later where nothing of it was kept when it was found right."""
    directory.mkdir()
    listed, right = directory / "inventory.jsonl", dict[str, str]()
    listed.write_bytes(b"".join(inventory.to_lines([entry])))
    bucket_restore.fetch(shelf, [entry], directory, Meter(silent, "x", None), bare=right.__setitem__)
    with closing(VaultData(shelf, listed, right)) as data:
        return b"".join(data.read(entry.digest, 0))


def _latest(bucket: Bucket, key: str) -> str | None:
    return next(found.version for found in bucket.listed(key, versions=True) if found.latest)


def test_another_version_is_as_good_if_it_hashes_right(vault: Vault, tmp_path: Path) -> None:
    bad = vault.put(DATA.swapcase())
    assert "hash to" in bucket_restore.look(vault.shelf, bad)
    assert vault.shelf.faults.digests == {DIGEST}

    vault.shelf = replace(vault.shelf, faults=type(vault.shelf.faults)())
    good = vault.put(DATA)
    vault.put(DATA.swapcase())
    for entry in (bad, good, bad._replace(version=None), good._replace(version="gone")):
        assert bucket_restore.look(vault.shelf, entry) == ""
        root = tmp_path / str(entry.version)
        root.mkdir()
        found = bucket_restore.fetch(vault.shelf, [entry], root, Meter(silent, "x", None))
        assert (found.blobs, found.bad) == (1, 0)
        assert storage.blob_path(root, DIGEST).read_bytes() == DATA
        assert read_as_found(vault.shelf, entry, tmp_path / f"{entry.version}.read") == DATA
    assert vault.shelf.faults.digests == set()
    # By another address of the same vault, or a copy of it, where a version says nothing.
    assert bucket_restore.look(replace(vault.shelf, original=False), good) == ""
    vault.bucket.delete([(vault.key, good.version)])
    assert "hash to" in bucket_restore.look(vault.shelf, bad)


def test_a_seal_needs_the_very_versions(vault: Vault) -> None:
    first = vault.put(DATA)
    assert verifying.missing(vault.bucket, vault.shelf.place, [first]) == ()
    vault.put(DATA)
    assert verifying.missing(vault.bucket, vault.shelf.place, [first]) == ()
    vault.bucket.delete([(vault.key, first.version)])
    (said,) = verifying.missing(vault.bucket, vault.shelf.place, [first])
    assert DIGEST in said
    (said,) = verifying.missing(
        vault.bucket, vault.shelf.place, [Entry(ONE, key_of(vault.shelf.place, ONE), 1)]
    )
    assert ONE in said


def test_the_services_clock_is_known(vault: Vault) -> None:
    vault.bucket.first("x")
    assert abs(vault.bucket.ahead) < timedelta(minutes=1)
    assert abs(vault.bucket.now() - datetime.now(UTC)) < timedelta(minutes=1)
