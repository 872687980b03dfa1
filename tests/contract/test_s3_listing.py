"""Listings side by side: the same as one after another, in the same order, with few requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from drkit.tools.s3.bucket import Bucket
from tests.buckets import Service

BLOBS = "reg/docker/registry/v2/blobs/sha256/"
REPOSITORIES = "reg/docker/registry/v2/repositories/"
COUNT = 350
PAGE = 25


def hexes(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


def blob_keys(count: int) -> list[str]:
    return [f"{BLOBS}{digest[:2]}/{digest}/data" for digest in hexes(count)]


def link_keys() -> list[str]:
    """Some small repositories, and one that holds most links, deep down."""
    small = [
        f"{REPOSITORIES}p{number:02}/app/_layers/sha256/{h}/link" for number in range(20) for h in hexes(4)
    ]
    return [f"{REPOSITORIES}library/big/deep/_layers/sha256/{h}/link" for h in hexes(200)] + small


@pytest.fixture(scope="module")
def filled(s3: Service) -> Iterator[Bucket]:
    """Blobs and links, in small pages."""
    with Bucket(replace(s3.bucket(), page=PAGE)) as opened:
        fill(opened, blob_keys(COUNT) + link_keys())
        yield opened


def fill(bucket: Bucket, keys: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: bucket.put(key, b""), keys))


def test_blobs_take_hardly_more_requests_than_pages(filled: Bucket) -> None:
    before = filled.client.requests
    found = list(filled.listed_at_once(BLOBS))
    assert [one.key for one in found] == sorted(blob_keys(COUNT))
    assert filled.client.requests - before <= COUNT / PAGE * 1.6
    assert found == list(filled.listed(BLOBS))


def test_links(filled: Bucket) -> None:
    before = filled.client.requests
    found = list(filled.listed_at_once(REPOSITORIES))
    assert [one.key for one in found] == sorted(link_keys())
    assert filled.client.requests - before <= len(found) / PAGE + 64


def test_everything(filled: Bucket) -> None:
    assert list(filled.listed_at_once("")) == list(filled.listed(""))


def test_versions(s3: Service) -> None:
    with Bucket(replace(s3.bucket(versions=True), page=10)) as bucket:
        fill(bucket, blob_keys(120))
        fill(bucket, blob_keys(20))
        bucket.delete([(key, None) for key in blob_keys(10)])
        found = list(bucket.listed_at_once(BLOBS, versions=True))
        assert [one.key for one in found] == sorted(one.key for one in found)
        assert set(found) == set(bucket.listed(BLOBS, versions=True))
    assert len({(one.key, one.version) for one in found}) == len(found) == 150
    assert sum(one.latest for one in found) == 120
    assert {one.key for one in found if one.deleted} == set(blob_keys(10))


def test_a_small_one_takes_one_request(filled: Bucket) -> None:
    before = filled.client.requests
    assert 0 < len(list(filled.listed_at_once(f"{BLOBS}00"))) < PAGE
    assert not list(filled.listed_at_once("nothing/"))
    assert filled.client.requests - before == 2


def test_a_listing_that_nobody_reads_to_its_end(filled: Bucket) -> None:
    listing = filled.listed_at_once(BLOBS)
    assert next(listing).key == min(blob_keys(COUNT))
    listing.close()  # type: ignore[attr-defined]
