"""A bucket, as any S3 service has to keep it."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drkit.errors import BucketMissing, NotDeleted, ObjectMissing, WrongBytes
from drkit.tools.s3.bucket import NULL_VERSION, Bucket, Lock, Put
from tests.buckets import Service


@pytest.fixture
def bucket(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket()) as opened:
        yield opened


@pytest.fixture
def versioned(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket(versions=True)) as opened:
        yield opened


def suspend(s3: Service, bucket: Bucket) -> None:
    s3.api().put_bucket_versioning(
        Bucket=bucket.access.bucket, VersioningConfiguration={"Status": "Suspended"}
    )


def blob(size: int, seed: int = 1) -> tuple[bytes, str]:
    data = random.Random(seed).randbytes(size)
    return data, f"sha256:{hashlib.sha256(data).hexdigest()}"


def in_pieces(data: bytes, size: int = 70_000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def copied(source: Bucket, target: Bucket, size: int, digest: str) -> Put:
    """By the service if it proves what it copies, else by the way that is left."""
    put = target.copy_by_service(source, "from", "to", size, digest)
    return put or target.put_blob("to", size, source.read("from"), digest)


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
    bucket.put_blob("blob", size, in_pieces(data), digest)
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


def test_a_null_version_is_none(s3: Service, bucket: Bucket, versioned: Bucket) -> None:
    """Some answer to an upload in parts with a version where there is none; it can be read by that, too."""
    suspend(s3, versioned)
    assert (versioned.versioning(), versioned.has_versions()) == (False, True)
    data, digest = blob(9 << 20)
    for each in (bucket, versioned):
        assert each.put("k", b"two!") is None
        assert each.put_blob("big", len(data), [data], digest) == Put(None)
        found = {one.key: one.version for one in each.listed(versions=True) if one.latest}
        assert found == {"big": NULL_VERSION, "k": NULL_VERSION}
        assert b"".join(each.read("big")) == b"".join(each.read("big", NULL_VERSION)) == data


def test_no_versions_no_locks(bucket: Bucket) -> None:
    assert not bucket.versioning()
    assert not bucket.has_versions()
    assert not bucket.object_lock()


@pytest.mark.parametrize("size", [0, 5000, 9 << 20])
def test_a_copy_from_another_bucket(bucket: Bucket, versioned: Bucket, size: int) -> None:
    data, digest = blob(size)
    bucket.put("from", data)
    put = copied(bucket, versioned, size, digest)
    assert b"".join(versioned.read("to", put.version)) == data
    # Nothing that was tried on the way is left.
    assert len(list(versioned.listed(versions=True))) == 1


@pytest.mark.parametrize("size", [5000, 9 << 20])
def test_a_copy_of_wrong_bytes_never_stays(bucket: Bucket, versioned: Bucket, size: int) -> None:
    data, digest = blob(size)
    bucket.put("from", bytes([data[0] ^ 1]) + data[1:])
    for _ in range(2):
        with pytest.raises(WrongBytes, match="to"):
            copied(bucket, versioned, size, digest)
        assert not list(versioned.listed(versions=True))
        assert not list(versioned.unfinished(""))


def test_a_copy_of_nothing(bucket: Bucket, versioned: Bucket) -> None:
    with pytest.raises(ObjectMissing):
        copied(bucket, versioned, 3, blob(3)[1])
    assert not list(versioned.listed(versions=True))


def test_an_upload_that_broke_off_goes_on(bucket: Bucket) -> None:
    data, digest = blob(20 << 20)

    def breaks_off() -> Iterator[bytes]:
        yield data[: 17 << 20]
        raise KeyError("the source breaks off")

    with pytest.raises(KeyError):
        bucket.put_blob("blob", len(data), breaks_off(), digest)
    assert [upload.key for upload in bucket.unfinished("b")] == ["blob"]
    assert bucket.first("") is None
    before = bucket.client.requests
    bucket.put_blob("blob", len(data), in_pieces(data), digest)
    # The list of uploads, the list of parts, the last of three parts, and the end.
    assert bucket.client.requests - before == 4
    assert b"".join(bucket.read("blob")) == data
    assert not list(bucket.unfinished(""))


def test_an_unfinished_upload_is_thrown_away(bucket: Bucket) -> None:
    bucket.client.call(bucket.client.api.create_multipart_upload, Key="a/blob")
    (upload,) = bucket.unfinished("a/")
    assert not list(bucket.unfinished("b/"))
    bucket.abort(upload)
    bucket.abort(upload)
    assert not list(bucket.unfinished(""))


@pytest.mark.parametrize("size", [5000, 9 << 20])
def test_a_locked_blob(s3: Service, size: int) -> None:
    data, digest = blob(size)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    with Bucket(s3.bucket(locks=True)) as bucket:
        assert bucket.object_lock()
        assert bucket.versioning()
        put = bucket.put_blob("blob", size, in_pieces(data), digest, Lock(until, "governance"))
        assert bucket.locked_until("blob", put.version) == until
        with pytest.raises(NotDeleted, match="blob") as caught:
            bucket.delete([("blob", put.version)])
        assert [(key, version) for key, version, _ in caught.value.kept] == [("blob", put.version)]
        later = until + timedelta(days=1)
        bucket.lock("blob", put.version, later, "governance")
        assert bucket.locked_until("blob", put.version) == later
        bucket.client.call(
            bucket.client.api.delete_object, Key="blob", VersionId=put.version, BypassGovernanceRetention=True
        )


def test_a_limit_is_kept_in_both_directions(bucket: Bucket) -> None:
    """At least its time: how much longer a busy machine takes, nobody knows."""
    data, digest = blob(1 << 20)
    rate = 2 << 20
    with Bucket(replace(bucket.access, upload_limit=rate, download_limit=rate)) as slow:
        began = time.monotonic()
        slow.put_blob("blob", len(data), in_pieces(data), digest)
        put = time.monotonic()
        assert b"".join(slow.read("blob")) == data
        assert put - began >= 0.5
        assert time.monotonic() - put >= 0.5
