"""What a manifest's bytes refer to, and what of a signed one its digest is of."""

from __future__ import annotations

import hashlib
import json

import pytest

from drkit.errors import ToolFailed
from drkit.tools import registry
from tests import plain

A, B = (f"sha256:{letter * 64}" for letter in "ab")


def parsed(document: object) -> registry.Manifest:
    return registry.parse_manifest(A, json.dumps(document).encode())


def test_an_index_may_hold_blobs() -> None:
    layer = plain.entry(plain.LAYER, b"x")
    cache = plain.entry("application/vnd.buildkit.cacheconfig.v0", b"y")
    image, nested = plain.entry(plain.IMAGE, b"z"), plain.entry(plain.INDEX, b"i")
    found = parsed({"manifests": [layer, image, cache, nested]})
    assert [child.digest for child in found.children] == [image["digest"], nested["digest"]]
    assert [blob.digest for blob in found.blobs] == [layer["digest"], cache["digest"]]


def test_a_layer_with_urls_is_fetched_from_elsewhere() -> None:
    here, there = plain.entry(plain.LAYER, b"x"), plain.entry(plain.LAYER, b"y", urls=["https://e.test/y"])
    assert [blob.foreign for blob in parsed({"layers": [here, there]}).blobs] == [False, True]


def test_the_digest_of_a_signed_manifest_is_that_of_what_was_signed() -> None:
    payload, signed = plain.signed_manifest("app", "v1", [A, B])
    assert registry.signed_payload(signed) == payload
    assert [blob.digest for blob in registry.parse_manifest(A, payload).blobs] == [A, B]


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"signatures": []}', b'{"signatures": [{"protected": "bm9uZQ"}]}', b"[" * 100_000]
)
def test_what_is_not_signed_stays_as_it_is(data: bytes) -> None:
    assert registry.signed_payload(data) == data


def test_digests_of_other_algorithms() -> None:
    assert registry.hashes_to(b"x", f"sha512:{_sha512(b'x')}")
    assert not registry.hashes_to(b"y", f"sha512:{_sha512(b'x')}")
    with pytest.raises(ToolFailed, match="algorithm of the digest md5:0 is not known"):
        registry.hashes_to(b"x", "md5:0")


def _sha512(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()
