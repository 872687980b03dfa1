"""What a manifest's bytes refer to, what of a signed one its digest is of, and how a registry is asked."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from drkit.errors import NotServed, ToolFailed
from drkit.tools import registry
from tests import plain

HELLO = registry.Descriptor(f"sha256:{hashlib.sha256(b'hello').hexdigest()}", 5, "")
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


# Asking


@contextmanager
def answering(directory: Path, *answers: bytes) -> Iterator[registry.Client]:
    """A client of a server that gives these answers, each on a connection that it closes then."""
    address = directory / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        server.listen()
        server.settimeout(60)

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        with ThreadPoolExecutor(1) as pool, registry.Client(address) as client:
            serving = pool.submit(serve)
            yield client
            serving.result()


def answer(status: str, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + body


def test_a_connection_that_the_server_has_closed_is_made_anew(tmp_path: Path) -> None:
    good = answer("200 OK", b"hello")
    with answering(tmp_path, good, answer("200 OK", b"", 5), good) as client:
        client.pull_blob("app", HELLO)
        client.has_blob("app", HELLO)
        client.pull_blob("app", HELLO)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (answer("200 OK", b"hell", 5), "app: blob sha256:2cf2.* is served with other bytes"),
        (answer("200 OK", b"jello"), "app: blob sha256:2cf2.* is served with other bytes"),
        (answer("500 Oh", b""), "GET /v2/app/blobs/sha256:2cf2.*: 500 Oh"),
        (b"", "GET /v2/app/blobs/sha256:2cf2.*: Remote end closed connection without response"),
        (b"what?\r\n", "GET /v2/app/blobs/sha256:2cf2.*: what\\?"),
    ],
)
def test_what_is_served_wrongly(tmp_path: Path, said: bytes, message: str) -> None:
    with answering(tmp_path, said, answer("200 OK", b"hello")) as client:
        with pytest.raises(ToolFailed, match=message) as raised:
            client.pull_blob("app", HELLO)
        # The next one is none the worse for it.
        client.pull_blob("app", HELLO)
    assert not isinstance(raised.value, NotServed)


def test_what_is_not_served(tmp_path: Path) -> None:
    gone = answer("404 Not Found", b"{}")
    with answering(tmp_path, gone, answer("404 Not Found", b"", 2)) as client:
        with pytest.raises(NotServed):
            client.pull_blob("app", HELLO)
        with pytest.raises(NotServed):
            client.has_blob("app", HELLO)


def test_nobody_answers(tmp_path: Path) -> None:
    with registry.Client(tmp_path / "s") as client:
        assert not client.answers()
