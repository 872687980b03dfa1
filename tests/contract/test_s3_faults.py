"""What goes wrong between drkit and a bucket, and what of it is tried again."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from drkit.errors import (
    BucketFailed,
    BucketRefused,
    ConfigError,
    Interrupted,
    ObjectMissing,
    SourceChanged,
    ToolFailed,
    WrongBytes,
)
from drkit.tools.process import stopping
from drkit.tools.s3 import client
from drkit.tools.s3.bucket import Access, Bucket
from testenv import keys
from testenv.s3_faults import Fault, Proxy
from tests.apart import apart
from tests.buckets import Service
from tests.unit.tools.living import soon

SIZE = 1_000_000
DATA = random.Random(7).randbytes(SIZE)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def proxy(s3: Service) -> Iterator[Proxy]:
    with Proxy(s3.endpoint) as running:
        yield running


@pytest.fixture
def bucket(s3: Service, proxy: Proxy) -> Iterator[Bucket]:
    """A bucket behind the proxy, with one object."""
    access = replace(s3.bucket(versions=True), endpoint=proxy.endpoint)
    with Bucket(access) as opened:
        opened.put("blob", DATA)
        proxy.seen.clear()
        yield opened


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A CA's certificate, and a server's with its key."""
    root = tmp_path_factory.mktemp("tls")
    keys.certificates(root, root / "data")
    return root / "tls/ca.crt", root / "tls/server.crt", root / "tls/server.key"


PASSING = [
    Fault("", error=(500, "InternalError"), times=3),
    Fault("", error=(503, "SlowDown"), times=3),
    Fault("", error=(502, "Bad Gateway"), times=3),
    Fault("", error=(400, "RequestTimeout"), times=2),
    Fault("", error=(429, "TooManyRequests"), times=2),
    Fault("", drop=True, times=3),
    Fault("", drop=True, late=True, times=1),
    Fault("", cut_after=10, times=2),
    Fault("", change=lambda body: body[: len(body) // 2], times=2),
]


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(bucket: Bucket, proxy: Proxy, fault: Fault) -> None:
    proxy.add(replace(fault, where="GET /"))
    assert [found.key for found in bucket.listed("")] == ["blob"]
    proxy.add(replace(fault, where="PUT /"))
    bucket.put("other", b"x")
    assert bucket.read_small("other") == b"x"


@pytest.mark.parametrize("fault", [Fault("", error=(500, "InternalError")), Fault("", drop=True)])
def test_what_never_passes_fails_after_some_attempts(bucket: Bucket, proxy: Proxy, fault: Fault) -> None:
    proxy.add(replace(fault, where="GET /", times=100))
    with pytest.raises(ToolFailed, match="4 times") as caught:
        list(bucket.listed(""))
    assert len(proxy.seen) == 4
    assert "endpoint" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "ExpiredToken", "new credentials"),
        (400, "ExpiredToken", "new credentials"),
        (403, "AccessDenied", "right"),
        (403, "InvalidAccessKeyId", "credentials_file"),
        (404, "XAdminUserNotFound", "credentials_file"),
        (403, "RequestTimeTooSkewed", "clock"),
    ],
)
def test_who_is_refused_is_not_asked_again(
    bucket: Bucket, proxy: Proxy, status: int, code: str, hint: str
) -> None:
    proxy.add(Fault("GET /", error=(status, code)))
    with pytest.raises(BucketRefused, match=f"list_objects_v2.*refused, {code}") as caught:
        list(bucket.listed(""))
    assert hint in caught.value.hint
    assert len(proxy.seen) == 1


def test_credentials_that_expire_while_an_object_is_read(bucket: Bucket, proxy: Proxy) -> None:
    proxy.add(Fault("GET /", cut_after=300_000))
    proxy.add(Fault("GET /", error=(403, "ExpiredToken"), skip=0))
    with pytest.raises(BucketRefused, match="get_object blob"):
        list(bucket.read("blob"))


def test_a_connection_that_breaks_is_taken_up_where_it_broke(bucket: Bucket, proxy: Proxy) -> None:
    for _ in range(3):
        proxy.add(Fault("GET /", cut_after=300_000))
    assert b"".join(bucket.read("blob")) == DATA
    assert len(proxy.seen) == 4


def test_a_connection_that_always_breaks_at_once(bucket: Bucket, proxy: Proxy) -> None:
    proxy.add(Fault("GET /", cut_after=0, times=100))
    with pytest.raises(ToolFailed, match=f"broke off after 0 of {SIZE} bytes"):
        list(bucket.read("blob"))


def test_an_object_that_changes_while_it_is_read(bucket: Bucket, proxy: Proxy) -> None:
    proxy.add(Fault("GET /", cut_after=300_000))
    reading = bucket.read("blob")
    next(reading)
    bucket.put("blob", bytes(SIZE))
    with pytest.raises(SourceChanged, match="blob changed while it was read"):
        list(reading)


def test_a_version_stays_what_it_is(bucket: Bucket, proxy: Proxy) -> None:
    (found,) = bucket.listed("", versions=True)
    proxy.add(Fault("GET /", cut_after=300_000))
    reading = bucket.read("blob", found.version)
    first = next(reading)
    bucket.put("blob", b"another")
    assert first + b"".join(reading) == DATA


def test_a_service_that_forgets_where_to_go_on(bucket: Bucket, proxy: Proxy) -> None:
    proxy.add(Fault("GET /", cut_after=300_000))
    reading = bucket.read("blob")
    next(reading)
    # The service knows no ranges: what comes is the whole object from its beginning.
    original = proxy.forward

    def without_range(
        method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        _, answered, _ = original(method, path, headers, body)
        return 200, [each for each in answered if each[0].lower() != "content-range"], DATA

    proxy.forward = without_range  # type: ignore[method-assign]
    with pytest.raises(ToolFailed, match="cannot be read from byte"):
        list(reading)


def test_a_blob_that_comes_through_in_pieces_is_right(bucket: Bucket, proxy: Proxy) -> None:
    proxy.add(Fault("GET /", cut_after=300_000))
    proxy.add(Fault("PUT /", error=(503, "SlowDown"), times=2))
    put = bucket.put_blob("copy", SIZE, bucket.read("blob"), DIGEST)
    assert bucket.read_small("copy", put.version) == DATA


@pytest.mark.parametrize("size", [SIZE, 9 << 20])
def test_a_blob_that_is_changed_on_its_way_never_becomes_visible(
    bucket: Bucket, proxy: Proxy, size: int
) -> None:
    data = random.Random(3).randbytes(size)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    bucket.put("source", data)
    source = f"GET /{bucket.access.bucket}/source"
    proxy.add(Fault(source, change=lambda body: body[:-1] + bytes([body[-1] ^ 1]), times=100))
    with pytest.raises(WrongBytes, match="copy"):
        bucket.put_blob("copy", size, bucket.read("source"), digest)
    assert not [found for found in bucket.listed("") if found.key == "copy"]


def with_proof(digest: str) -> Fault:
    """A service that says what it copied: this."""
    proof = base64.b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()
    said = f"<ChecksumSHA256>{proof}</ChecksumSHA256></CopyObjectResult>".encode()

    def change(body: bytes) -> bytes:
        plain = re.sub(rb"<Checksum(\w+)>[^<]*</Checksum\1>", b"", body)
        return plain.replace(b"</CopyObjectResult>", said)

    return Fault("PUT /", change=change, times=100)


def test_a_copy_by_the_service_that_proves_it(s3: Service, bucket: Bucket, proxy: Proxy) -> None:
    proxy.add(with_proof(DIGEST))
    with Bucket(replace(s3.bucket(), endpoint=proxy.endpoint)) as vault:
        assert vault.copy_by_service(bucket, "blob", "copy", SIZE, DIGEST)
        assert vault.read_small("copy") == DATA
        assert vault.client.requests == 2


def test_a_copy_by_the_service_of_other_bytes_is_taken_away_again(
    s3: Service, bucket: Bucket, proxy: Proxy
) -> None:
    proxy.add(with_proof("sha256:" + "0" * 64))
    for versions in (True, False):
        with Bucket(replace(s3.bucket(versions=versions), endpoint=proxy.endpoint)) as vault:
            with pytest.raises(WrongBytes, match="do not hash to"):
                vault.copy_by_service(bucket, "blob", "copy", SIZE, DIGEST)
            assert not list(vault.listed("", versions=versions))


def test_a_service_that_may_not_read_the_source_is_not_asked_twice(
    s3: Service, bucket: Bucket, proxy: Proxy
) -> None:
    access = replace(s3.bucket(), endpoint=proxy.endpoint)
    proxy.add(Fault(f"PUT /{access.bucket}/copy-1", error=(403, "AccessDenied")))
    with Bucket(access) as vault:
        assert vault.may_copy(bucket, SIZE)
        # No service copies more in one request: it is not asked for that.
        assert not vault.may_copy(bucket, (5 << 30) + 1)
        for number in (1, 2):
            assert vault.copy_by_service(bucket, "blob", f"copy-{number}", SIZE, DIGEST) is None
            assert not vault.may_copy(bucket, SIZE)
        assert vault.client.requests == 1


def test_versions_that_a_service_tells_twice_count_once(s3: Service) -> None:
    """Some begin a page with the last version of the page before."""
    with Proxy(s3.endpoint) as proxy:
        access = replace(s3.bucket(versions=True), endpoint=proxy.endpoint, page=3)
        with Bucket(access) as opened:
            for number in range(8):
                opened.put(f"blob{number // 2}", b"x")
            whole = list(opened.listed(versions=True))
            page = re.compile(rb"(<Version>.*?</Version>)", re.DOTALL)
            last: list[bytes] = []

            def repeat(body: bytes) -> bytes:
                found = page.findall(body)
                again = body.replace(found[0], b"".join([*last, found[0]]), 1)
                last[:] = found[-1:]
                return again

            for listing in (opened.listed, opened.listed_at_once):
                last.clear()
                proxy.plan = lambda request: Fault(change=repeat) if request.lists else None
                assert list(listing("", versions=True)) == whole
    assert len(whole) == 8


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        ("NoSuchVersion", "gone", ObjectMissing),
        # The id that another service gave need not even look like one.
        ("InvalidArgument", "Invalid version id specified", ObjectMissing),
        ("InvalidArgument", "Invalid part number", BucketFailed),
    ],
)
def test_a_version_that_is_not_there(code: str, said: str, kind: type[ToolFailed]) -> None:
    answer = {"Error": {"Code": code, "Message": said}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    error = ClientError(answer, "GetObject")
    assert type(client.of_answer("get_object blob", error, "s3://bucket")) is kind


def test_a_listing_that_changes_while_it_is_read(s3: Service) -> None:
    """What is there all the time is seen once, whatever comes and goes beside it."""
    with Bucket(replace(s3.bucket(), page=10)) as bucket:
        stays = [f"sha256/{number:02x}/{hashlib.sha256(bytes([number])).hexdigest()}" for number in range(60)]
        goes = [f"{key}x" for key in stays[::3]]
        for key in stays + goes:
            bucket.put(key, b"")
        for listed in (bucket.listed(""), bucket.listed_at_once("")):
            seen = []
            for number, found in enumerate(listed):
                seen.append(found.key)
                if number % 10 == 0:
                    bucket.delete([(goes[number % len(goes)], None), (found.key + "y", None)])
                    bucket.put(f"{found.key}y", b"")
            assert [key for key in seen if key in stays] == sorted(stays)
            assert seen == sorted(set(seen))


def test_a_certificate_of_ones_own(s3: Service, authority: tuple[Path, Path, Path]) -> None:
    ca, certificate, key = authority
    access = s3.bucket()
    with Proxy(s3.endpoint, (certificate, key)) as proxy:
        with Bucket(replace(access, endpoint=proxy.endpoint, ca_file=ca)) as bucket:
            bucket.put("x", b"1")
            assert bucket.read_small("x") == b"1"
        with (
            Bucket(replace(access, endpoint=proxy.endpoint)) as bucket,
            pytest.raises(ToolFailed, match="CERTIFICATE_VERIFY_FAILED") as caught,
        ):
            bucket.put("x", b"1")
        assert caught.value.hint == "see ca_file of this bucket"
    with pytest.raises(ConfigError, match="cannot read the certificates"):
        Bucket(replace(access, ca_file=Path("/nowhere/ca.crt")))


def interrupted_while_the_service_says_nothing(access: Access, pair: tuple[Path, Path]) -> None:
    """What reads ends at once; what was sent to be stored goes on."""
    hold, was_read, was_put = threading.Event(), threading.Event(), threading.Event()
    assert access.endpoint is not None
    with Proxy(access.endpoint, pair) as proxy, Bucket(replace(access, endpoint=proxy.endpoint)) as bucket:
        bucket.put("x", b"1")
        proxy.plan = lambda _request: Fault(hold=hold)

        def read() -> None:
            with pytest.raises(Interrupted):
                bucket.read_small("x")
            was_read.set()

        def put() -> None:
            bucket.put("y", b"2")
            was_put.set()

        for work in (read, put):
            threading.Thread(target=work, daemon=True).start()
        assert soon(lambda: len(proxy.seen) == 3)
        stopping.stop_all(0)
        # Half as long as an answer is waited for.
        assert was_read.wait(30)
        assert not was_put.is_set()
        hold.set()
        assert was_put.wait(30)


def test_an_interruption_does_not_wait_for_an_answer(s3: Service, authority: tuple[Path, Path, Path]) -> None:
    ca, certificate, key = authority
    apart(interrupted_while_the_service_says_nothing, replace(s3.bucket(), ca_file=ca), (certificate, key))
