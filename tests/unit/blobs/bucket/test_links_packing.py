"""A bucket's links are packed without being read, as far as their ETags tell what they hold."""

from __future__ import annotations

import hashlib

from drkit.blobs.bucket import links_archive
from drkit.blobs.bucket.links_archive import Link
from drkit.blobs.bucket.links_packing import Packer
from drkit.errors import ObjectMissing
from drkit.registry import links
from drkit.tools.s3.bucket import Object

A, B = "a" * 64, "b" * 64
TOP = "docker/registry/v2/repositories/library/nginx"
LAYER = f"{TOP}/_layers/sha256/{A}/link"
REVISION = f"{TOP}/_manifests/revisions/sha256/{B}/link"
CURRENT = f"{TOP}/_manifests/tags/v1/current/link"
INDEX = f"{TOP}/_manifests/tags/v1/index/sha256/{B}/link"


class Bucket:
    """Objects by key, and which of them were read."""

    def __init__(self, root: str = "") -> None:
        self.root = f"{root}/" if root else ""
        self.objects: dict[str, bytes] = {}
        self.read: list[str] = []
        self.encrypted = False

    def put(self, path: str, held: bytes) -> None:
        self.objects[self.root + path] = held

    def listed(self) -> list[Object]:
        return [
            Object(
                key,
                len(held),
                "x" if self.encrypted else hashlib.md5(held, usedforsecurity=False).hexdigest(),
                "2026-01-02T03:04:05Z",
                None,
            )
            for key, held in sorted(self.objects.items())
        ]

    def get(self, key: str) -> bytes:
        self.read.append(key)
        if key not in self.objects:
            raise ObjectMissing(f"no {key}")
        return self.objects[key]


def packed(bucket: Bucket, tally: links.LinkCount | None = None) -> list[Link]:
    packer = Packer(bucket.root.rstrip("/"), bucket.get, tally or links.LinkCount())
    return list(links_archive.read(packer.pieces(bucket.listed())))


def whole(root: str = "") -> Bucket:
    bucket = Bucket(root)
    for path, hex_ in ((LAYER, A), (REVISION, B), (CURRENT, B), (INDEX, B)):
        bucket.put(path, f"sha256:{hex_}".encode())
    return bucket


def contents(found: list[Link]) -> dict[str, bytes]:
    return {link.name: link.held for link in found}


def test_links_are_packed_without_being_read() -> None:
    bucket = whole("registry")
    found = packed(bucket)
    assert contents(found) == {key.removeprefix("registry/"): held for key, held in bucket.objects.items()}
    assert bucket.read == []
    assert {link.modified for link in found} == {1767323045.0}


def test_where_an_etag_tells_nothing_links_are_read() -> None:
    bucket = whole()
    bucket.encrypted = True
    assert contents(packed(bucket)) == bucket.objects
    assert sorted(bucket.read) == sorted(bucket.objects)


def test_what_holds_something_else_than_its_name_is_packed_as_it_is() -> None:
    bucket = whole()
    bucket.put(LAYER, b"")
    bucket.put(REVISION, f"sha256:{A}".encode())
    tally = links.LinkCount()
    assert contents(packed(bucket, tally)) == bucket.objects
    assert sorted(bucket.read) == [LAYER, REVISION]
    assert tally.proof().bad_names == (LAYER,)


def test_a_tag_that_points_to_what_is_not_in_its_index_is_read() -> None:
    bucket = whole()
    bucket.put(CURRENT, f"sha256:{A}".encode())
    assert contents(packed(bucket))[CURRENT] == f"sha256:{A}".encode()
    assert bucket.read == [CURRENT]


def test_uploads_and_what_is_no_link_stay_out() -> None:
    bucket = whole()
    names = set(bucket.objects)
    bucket.put(f"{TOP}/_uploads/1/startedat", b"2026")
    bucket.put(f"{TOP}/_uploads/1/link", b"2026")
    bucket.put("docker/registry/v2/blobs/sha256/aa/link", b"x")
    bucket.put(f"{TOP}/_layers/sha256/{B}/link", b"x" * 5000)
    assert set(contents(packed(bucket))) == names


def test_a_link_that_vanishes_is_passed_over() -> None:
    bucket = whole()
    bucket.put(LAYER, b"other")
    listed = bucket.listed()
    del bucket.objects[LAYER]
    packer = Packer("", bucket.get, links.LinkCount())
    found = list(links_archive.read(packer.pieces(listed)))
    assert set(contents(found)) == {REVISION, CURRENT, INDEX}


def test_the_archive_is_the_same_from_run_to_run() -> None:
    archives = {
        b"".join(Packer("", whole().get, links.LinkCount()).pieces(whole().listed())) for _ in range(2)
    }
    assert len(archives) == 1


def test_no_links_are_an_empty_archive() -> None:
    assert packed(Bucket()) == []
