"""What a client asks for, and what it must not be taken for."""

from __future__ import annotations

import json

import pytest

from drkit.serving import requests
from drkit.serving.requests import Request

D = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/v2/", Request("base")),
        ("/v2", Request("base")),
        ("/v2/_catalog?n=5&last=a%2Fb", Request("catalog", most=5, after="a/b")),
        ("/v2/a/b-c/tags/list", Request("tags", "a/b-c")),
        ("/v2/tags/list/tags/list?n=0", Request("tags", "tags/list", most=0)),
        ("/v2/a/manifests/_uploads", Request("manifest", "a", "_uploads")),
        (f"/v2/a/b/manifests/{D}", Request("manifest", "a/b", D)),
        (f"/v2/a/blobs/{D}", Request("blob", "a", D)),
        (f"/v2/a/blobs/{D.replace(':', '%3A')}", Request("blob", "a", D)),
        (f"/v2/a/referrers/{D}?artifactType=x%2Fy", Request("referrers", "a", D, artifact_type="x/y")),
    ],
)
def test_what_is_asked_for(target: str, wanted: Request) -> None:
    assert requests.parse(target) == wanted


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1/",
        "/v2/a",
        "/v2/../etc/manifests/x",
        "/v2/a/../b/manifests/x",
        "/v2/a%2F..%2F..%2Fb/manifests/x",
        "/v2/_layers/manifests/x",
        "/v2/A/manifests/x",
        "/v2/a/manifests/../x",
        "/v2/a/manifests/x%0Ay",
        "/v2/a/blobs/sha256:short",
        f"/v2/a/blobs/{D.upper()}",
        "/v2/a/blobs/x",
        "/v2//blobs/x",
    ],
)
def test_what_is_no_request(target: str) -> None:
    assert requests.parse(target) is None


def test_a_page_has_a_limit() -> None:
    found = [requests.parse(f"/v2/_catalog?n={n}") for n in ("9" * 30, "-1", "x", "")]
    assert [each.most for each in found if each] == [1000] * 4


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b'{"mediaType": "x/y"}', "x/y"),
        (b'{"mediaType": "x/y\\r\\nSet-Cookie: a"}', "application/vnd.oci.image.manifest.v1+json"),
        (b'{"manifests": []}', "application/vnd.oci.image.index.v1+json"),
        (b'{"layers": []}', "application/vnd.oci.image.manifest.v1+json"),
        (b'{"signatures": []}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (b"[]", "application/octet-stream"),
        (b"{", "application/octet-stream"),
        (b"[" * 100_000, "application/octet-stream"),
    ],
)
def test_the_type_of_a_manifest(data: bytes, wanted: str) -> None:
    assert requests.media_type(data) == wanted


def test_who_refers_to_whom() -> None:
    said = {
        "mediaType": "m/m",
        "config": {"mediaType": "c/c"},
        "subject": {"digest": D},
        "annotations": {"a": "b"},
    }
    data = json.dumps(said).encode()
    wanted = {
        "mediaType": "m/m",
        "digest": "d",
        "size": len(data),
        "artifactType": "c/c",
        "annotations": {"a": "b"},
    }
    assert requests.referrer("d", data) == (D, wanted)
    assert requests.referrer("d", b"{}") is None
    assert requests.referrer("d", b'{"subject": []}') is None
    assert json.loads(requests.referrers([wanted], "c/c"))["manifests"] == [wanted]
    assert json.loads(requests.referrers([wanted], "other"))["manifests"] == []
