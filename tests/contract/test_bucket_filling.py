"""A restore into a bucket that was cut off goes on: nothing there is believed by its name or size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from drkit.blobs.bucket.cut_off import MARK, is_cut_off
from drkit.blobs.bucket.filling import BucketRestore
from drkit.blobs.bucket.link_checksum import LinkChecksum
from drkit.blobs.bucket.links_archive import Link
from drkit.blobs.inventory import Entry
from drkit.blobs.units.executors import Threads
from drkit.blobs.vault.fetching import Fetched
from drkit.blobs.vault.reading import VaultReader, key_of
from drkit.errors import TargetNotEmpty
from drkit.model import BucketPlace
from drkit.progress import Meter, silent
from drkit.registry import storage
from drkit.tools.s3.bucket import Bucket
from drkit.tools.tar.stream import Member
from testenv.s3_faults import Fault, Proxy, Request
from tests import buckets

POINT = "20261128-020000-abcdef"
TAG = "docker/registry/v2/repositories/app/_manifests/tags/v1/current/link"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Bench:
    """A vault with blobs, a tag, and an empty bucket that they go to."""

    vault: Bucket
    target: Bucket
    directory: Path
    blobs: list[bytes] = field(default_factory=lambda: [b"blob %d" % number for number in range(8)])
    tag: bytes = b""

    def __post_init__(self) -> None:
        self.tag = digest_of(self.blobs[0]).encode()
        self.place = BucketPlace(self.target.access.bucket, "root")
        self.shelf = VaultReader(self.vault, BucketPlace(self.vault.access.bucket, "kept"), original=True)
        self.entries = []
        for data in sorted(self.blobs, key=digest_of):
            key = key_of(self.shelf.place, digest_of(data))
            self.entries.append(Entry(digest_of(data), key, len(data), self.vault.put(key, data)))

    def links(self) -> Iterator[Link]:
        yield Link(TAG, self.tag, 0)

    def names(self) -> Iterator[str]:
        yield from (str(storage.blob_name(entry.digest)) for entry in self.entries)
        yield TAG

    def begin(self, target: Bucket | None = None, small: int = 4 << 20) -> BucketRestore:
        filling = BucketRestore(
            target or self.target, self.place, POINT, Meter(silent, "x", None), small=small
        )
        filling.begin(self.names, self.directory)
        return filling

    def members(self) -> Iterator[Member]:
        for data in sorted(self.blobs, key=digest_of):
            name = str(storage.blob_name(digest_of(data)))
            yield Member(name, "file", len(data), 0, iter([data]))

    def fill(self, *, archive: bool = False, small: int = 4 << 20) -> Fetched:
        filling = self.begin(small=small)
        found = (
            filling.from_archive(self.members())
            if archive
            else filling.from_vault(self.shelf, self.entries, Threads(4), self.directory)
        )
        filling.links(self.links)
        assert filling.census() == LinkChecksum.of_links(self.links())
        return found

    def put(self, name: str, data: bytes) -> None:
        self.target.put(f"root/{name}", data)

    def wrong(self) -> list[str]:
        """Names of what is not what it should be."""
        held = {str(storage.blob_name(digest_of(data))): data for data in self.blobs} | {TAG: self.tag}
        return [name for name, data in held.items() if self.target.read_small(f"root/{name}") != data]


@pytest.fixture
def bench(s3: buckets.Service, tmp_path: Path) -> Iterator[Bench]:
    # By another name of its host it is another service, for all that anybody knows.
    other = s3.behind(s3.endpoint.replace("127.0.0.1", "localhost"))
    with Bucket(other.bucket(versions=True)) as vault, Bucket(s3.bucket()) as target:
        yield Bench(vault, target, tmp_path)


@pytest.mark.parametrize("archive", [False, True])
def test_what_an_earlier_attempt_left_is_hashed_and_put_right(bench: Bench, archive: bool) -> None:
    bench.begin()
    for number, data in enumerate(sorted(bench.blobs, key=digest_of)):
        bench.put(str(storage.blob_name(digest_of(data))), data if number != 3 else data.swapcase())
    bench.put(TAG, digest_of(b"another image").encode())
    assert len(bench.wrong()) == 2
    found = bench.fill(archive=archive)
    assert bench.wrong() == []
    assert (found.blobs, found.bad) == (8, 0)
    # Small ones of an archive are simply put once more.
    assert found.kept == (0 if archive else 7)


def test_a_big_blob_of_an_archive_is_kept_if_it_is_right(bench: Bench) -> None:
    bench.begin()
    first, second, *_ = sorted(bench.blobs, key=digest_of)
    bench.put(str(storage.blob_name(digest_of(first))), first)
    bench.put(str(storage.blob_name(digest_of(second))), second.swapcase())
    found = bench.fill(archive=True, small=0)
    assert bench.wrong() == []
    assert found.kept == 1


def test_a_wrong_copy_that_the_service_has_made_without_a_word_is_not_left(
    s3: buckets.Service, tmp_path: Path
) -> None:
    with Proxy(s3.endpoint) as proxy:
        service = s3.behind(proxy.endpoint)
        with Bucket(service.bucket()) as vault, Bucket(service.bucket()) as target:
            bench = Bench(vault, target, tmp_path)
            wrong = bench.entries[3]
            vault.put(wrong.key, b"x" * wrong.size)
            name = key_of(bench.place, wrong.digest)
            put = f"PUT /{target.access.bucket}/{name}"
            proxy.add(Fault(put, error=(503, "SlowDown"), late=True, times=100))
            assert bench.fill().bad == 1
            assert [str(each) for each in proxy.seen].count(put) > 1
            assert target.first(name) is None


@pytest.mark.parametrize(
    "name",
    [
        str(storage.blob_name(f"sha256:{'ab' * 32}")),
        TAG.replace("v1", "v2"),
        "docker/registry/v2/repositories/app/_uploads/x/data",
    ],
)
def test_a_mark_that_was_left_makes_no_bucket_in_use_acceptable(bench: Bench, name: str) -> None:
    bench.begin()
    bench.put(name, b"pushed since")
    before = [found.key for found in bench.target.listed()]
    with pytest.raises(TargetNotEmpty, match=r"1 objects in .* are not of point") as caught:
        bench.fill()
    assert name in caught.value.message
    assert [found.key for found in bench.target.listed()] == before


def test_a_mark_that_cannot_be_removed_says_that_all_is_done(bench: Bench, s3: buckets.Service) -> None:
    def refuse(request: Request) -> Fault | None:
        deletes = request.method == "DELETE" or (request.method == "POST" and "delete" in request.path)
        return Fault(error=(403, "AccessDenied")) if deletes else None

    access = bench.target.access
    with Proxy(s3.endpoint) as proxy, Bucket(replace(access, endpoint=proxy.endpoint)) as refusing:
        proxy.plan = refuse
        filling = bench.begin(refusing)
        assert is_cut_off(bench.target, bench.place, POINT)
        assert "could not be removed" in filling.end()
    assert bench.target.first(f"root/{MARK}") is not None
    assert not is_cut_off(bench.target, bench.place, POINT)


def test_links_that_hold_something_else_are_seen_at_the_end(bench: Bench) -> None:
    filling = bench.begin()
    filling.links(bench.links)
    assert filling.census() == LinkChecksum.of_links(bench.links())
    bench.put(TAG, digest_of(b"another image").encode())
    assert filling.census() != LinkChecksum.of_links(bench.links())
