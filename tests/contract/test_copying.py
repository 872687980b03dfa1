"""Blobs copied from a bucket, one by one: what becomes of each, and what is to be seen of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drkit.blobs.inventory import Entry
from drkit.blobs.units import targets
from drkit.blobs.units.sources import BucketSource
from drkit.blobs.units.targets import BucketTarget
from drkit.blobs.units.unit import Done, Outcome, Wrong
from drkit.blobs.units.work import Copying
from drkit.blobs.vault.reading import VaultReader, key_of
from drkit.errors import SourceChanged
from drkit.model import BucketPlace
from drkit.registry import storage
from drkit.tools.s3.bucket import Bucket
from testenv.s3_faults import Fault, Proxy
from tests.buckets import Service

BIG = bytes(9 << 20)


@dataclass
class Bench:
    """Two buckets, the first of which keeps versions."""

    source: Bucket
    target: Bucket

    @property
    def place(self) -> BucketPlace:
        return BucketPlace(self.target.access.bucket, "root")

    def copying(self, *, any_copy: bool = False, resumes: bool = False) -> Copying:
        shelf = VaultReader(self.source, BucketPlace(self.source.access.bucket), original=True)
        target = BucketTarget(self.target, self.place, resumes=resumes)
        return Copying(BucketSource(shelf, any_copy=any_copy), target)

    def stored(self, data: bytes, held: bytes | None = None) -> Entry:
        """A blob of the source, with the bytes that it has there."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        version = self.source.put(digest, data if held is None else held)
        return Entry(digest, digest, len(data), version)

    def there(self) -> list[str]:
        return [found.key for found in self.target.listed()]


@pytest.fixture
def bench(s3: Service) -> Iterator[Bench]:
    with Bucket(s3.bucket(versions=True)) as source, Bucket(s3.bucket()) as target:
        yield Bench(source, target)


def done(copying: Copying, entry: Entry) -> Outcome:
    return copying.do(entry, lambda: None, lambda _count: None)


def is_stored(found: Outcome) -> bool:
    """Some services have a version for it, in a bucket that keeps none."""
    return isinstance(found, Done) and not found.kept


@pytest.mark.parametrize("data", [b"", b"x", b"small" * 99, BIG])
def test_what_is_right_is_there(bench: Bench, data: bytes) -> None:
    copying, entry = bench.copying(), bench.stored(data)
    assert not copying.stands(entry, Done())
    assert is_stored(done(copying, entry))
    assert copying.stands(entry, Done())
    assert bench.target.read_small(key_of(bench.place, entry.digest)) == data


@pytest.mark.parametrize("data", [b"small" * 99, BIG])
def test_what_is_wrong_is_told_as_whoever_hashes_it_tells_it(bench: Bench, data: bytes) -> None:
    rotten = data[:-1] + b"?"
    entry = bench.stored(data, rotten)
    assert done(bench.copying(), entry) == Wrong("bytes", len(data), hashlib.sha256(rotten).hexdigest())
    # The first bytes of one that is longer: who has read them is known by what they hash to.
    short = entry._replace(size=7)
    assert done(bench.copying(), short) == Wrong("longer", 7, hashlib.sha256(data[:7]).hexdigest())
    assert done(bench.copying(), entry._replace(key="gone")) == Wrong("gone")
    assert bench.there() == []
    assert not list(bench.target.unfinished(""))


def test_another_version_is_as_good_where_it_may_be(bench: Bench) -> None:
    entry = bench.stored(b"blob")
    bad = entry._replace(version=bench.source.put(entry.key, b"BLOB"))
    assert isinstance(done(bench.copying(), bad), Wrong)
    copying = bench.copying(any_copy=True)
    assert not copying.stands(bad, Done())
    assert done(copying, bad) == Done(other=entry.version)
    # Whoever has stored that has done right, though what is named begins otherwise.
    assert copying.stands(bad, Done())
    assert bench.target.read_small(key_of(bench.place, entry.digest)) == b"blob"


def test_what_an_earlier_run_left_is_kept_only_if_it_is_right(bench: Bench) -> None:
    entry = bench.stored(b"blob")
    key = key_of(bench.place, entry.digest)
    for held, kept in ((b"BLOB", False), (b"blo", False), (b"blob", True)):
        bench.target.put(key, held)
        assert done(bench.copying(resumes=True), entry) == Done(kept=kept)
        assert bench.target.read_small(key) == b"blob"


def test_what_is_kept_stands_though_the_source_is_damaged_by_now(bench: Bench) -> None:
    entry, copying = bench.stored(b"blob", b"BLOB"), bench.copying(any_copy=True, resumes=True)
    key = key_of(bench.place, entry.digest)
    bench.target.put(key, b"blob")
    assert done(copying, entry) == Done(kept=True)
    assert copying.stands(entry, Done(kept=True))
    bench.target.put(key, b"blot")
    assert not copying.stands(entry, Done(kept=True))


def test_who_is_overtaken_by_another_that_uploads_the_same_begins_again(bench: Bench, s3: Service) -> None:
    entry = bench.stored(BIG)
    with Proxy(s3.endpoint) as proxy:
        access = replace(bench.target.access, endpoint=proxy.endpoint)
        with Bucket(access) as target:
            behind = Bench(bench.source, target)
            proxy.add(Fault("POST", error=(404, "NoSuchUpload"), skip=1))
            assert is_stored(done(behind.copying(), entry))
            proxy.add(Fault("POST", error=(404, "NoSuchUpload"), skip=1, times=9))
            with pytest.raises(SourceChanged, match="others upload"):
                done(behind.copying(), entry)
    assert bench.target.read_small(key_of(bench.place, entry.digest)) == BIG


def test_into_a_directory(bench: Bench, tmp_path: Path) -> None:
    good, bad = bench.stored(b"good"), bench.stored(b"bad", b"BAD")
    with targets.directory(tmp_path) as target:
        copying = Copying(bench.copying().source, target)
        assert done(copying, good) == Done()
        assert done(copying, good) == Done(kept=True)
        assert isinstance(done(copying, bad), Wrong)
        assert copying.stands(good, Done())
        assert not copying.stands(bad, Done())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [
        storage.blob_path(tmp_path, good.digest)
    ]
