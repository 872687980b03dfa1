"""A bucket, as any S3 service has to keep it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import pytest

from drkit.errors import BucketMissing, ObjectMissing, WrongBytes
from drkit.tools.s3 import Bucket
from tests.buckets import Service


@pytest.fixture
def bucket(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket()) as opened:
        yield opened


@pytest.fixture
def versioned(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket(versions=True)) as opened:
        yield opened


def blob(size: int, seed: int = 1) -> tuple[bytes, str]:
    data = random.Random(seed).randbytes(size)
    return data, f"sha256:{hashlib.sha256(data).hexdigest()}"


def in_pieces(data: bytes, size: int = 70_000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_what_is_put_is_read(bucket: Bucket) -> None:
    bucket.put("a/b", b"hello")
    assert bucket.read_small("a/b") == b"hello"
    bucket.put("a/b", b"")
    assert bucket.read_small("a/b") == b""


def test_an_object_that_is_not_there(bucket: Bucket) -> None:
    with pytest.raises(ObjectMissing, match="a/b"):
        bucket.read_small("a/b")


def test_a_bucket_that_is_not_there(s3: Service) -> None:
    with Bucket(s3.access("drkit-test-no-such-bucket")) as nowhere, pytest.raises(BucketMissing):
        list(nowhere.listed())


@pytest.mark.parametrize("size", [0, 1, 300_000, 8 << 20, (20 << 20) + 1])
def test_a_blob_of_any_size(bucket: Bucket, size: int) -> None:
    data, digest = blob(size)
    put = bucket.put_blob("blob", size, in_pieces(data), digest)
    assert put.bytes_through == size
    assert b"".join(bucket.read("blob")) == data
    assert not list(bucket.unfinished(""))


@pytest.mark.parametrize("size", [1000, 9 << 20])
def test_wrong_bytes_never_become_visible(bucket: Bucket, size: int) -> None:
    data, digest = blob(size)
    for wrong in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"x"):
        with pytest.raises(WrongBytes):
            bucket.put_blob("blob", size, in_pieces(wrong), digest)
        assert bucket.first("") is None
        assert not list(bucket.unfinished(""))


def test_listing(bucket: Bucket) -> None:
    for key in ("b/2", "a/1", "b/1", "c"):
        bucket.put(key, key.encode())
    assert [found.key for found in bucket.listed()] == ["a/1", "b/1", "b/2", "c"]
    assert [(found.key, found.size) for found in bucket.listed("b/")] == [("b/1", 3), ("b/2", 3)]
    assert bucket.first("c").key == "c"  # type: ignore[union-attr]
    assert bucket.first("d") is None


def test_versions(versioned: Bucket) -> None:
    assert versioned.versioning()
    first, second = versioned.put("k", b"one"), versioned.put("k", b"two!")
    assert first is not None
    assert second is not None
    versioned.delete([("k", None)])
    assert versioned.first("") is None
    found = list(versioned.listed(versions=True))
    assert [(each.version, each.size) for each in found if not each.deleted] == [(second, 4), (first, 3)]
    assert [each.latest for each in found if each.deleted] == [True]
    assert versioned.read_small("k", first) == b"one"
    versioned.delete([(each.key, each.version) for each in found])
    assert not list(versioned.listed(versions=True))


def test_no_versions_no_locks(bucket: Bucket) -> None:
    assert not bucket.versioning()
    assert not bucket.object_lock()
