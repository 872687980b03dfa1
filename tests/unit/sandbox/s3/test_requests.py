"""What is asked of a bucket, and what it answers."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from drkit.sandbox.s3 import requests
from drkit.sandbox.s3.requests import Key, Request

_SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
KEYS = (Key("a/", None), Key("b&c", 7, 1_700_000_000.5), Key("d\x01", 0))


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/bucket", Request("", {})),
        ("/bucket/", Request("", {})),
        ("/bucket?prefix=a%2Fb+c&max-keys=1", Request("", {"prefix": "a/b c", "max-keys": "1"})),
        ("/bucket/a%20b//c?x-id=GetObject", Request("a b//c", {"x-id": "GetObject"})),
        ("/bucket/?marker=", Request("", {"marker": ""})),
        ("/bucket2/a", None),
        ("/", None),
        ("/bucke", None),
    ],
)
def test_requests(target: str, wanted: Request | None) -> None:
    assert requests.parse(target, "bucket") == wanted


@pytest.mark.parametrize(
    ("query", "after", "most", "second"),
    [
        ({}, "", 1000, False),
        ({"marker": "m", "max-keys": "3"}, "m", 3, False),
        ({"list-type": "2", "start-after": "s"}, "s", 1000, True),
        (
            {"list-type": "2", "start-after": "s", "continuation-token": "t", "max-keys": "9999"},
            "t",
            1000,
            True,
        ),
        ({"max-keys": "-1"}, "", 1000, False),
    ],
)
def test_where_a_listing_begins_and_ends(query: dict[str, str], after: str, most: int, second: bool) -> None:
    request = Request("", query)
    assert (request.after, request.most, request.second) == (after, most, second)


def test_who_asks() -> None:
    signed = (
        "AWS4-HMAC-SHA256 Credential=abc/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    )
    assert requests.key_id(signed) == "abc"
    assert [requests.key_id(each) for each in ("", "Basic abc/", "AWS abc:x")] == ["", "", ""]


@pytest.mark.parametrize("kind", ["1", "2"])
def test_a_page_says_whether_there_is_another(kind: str) -> None:
    for most, more in ((2, "true"), (3, "false"), (1000, "false")):
        query = {"list-type": kind, "max-keys": str(most), "prefix": "", "delimiter": "/"}
        found = ET.fromstring(requests.listing("bucket", Request("", query), KEYS))
        texts = {element.tag.removeprefix(_SPACE): element.text for element in found}
        assert texts["IsTruncated"] == more
        token = "NextContinuationToken" if kind == "2" else "NextMarker"
        assert texts.get(token) == ("b&c" if more == "true" else None)
        assert texts.get("KeyCount") == (str(min(most, 3)) if kind == "2" else None)
        names = [element.text for element in found.iter(f"{_SPACE}Key")]
        assert names == ["b&c", "d?"][: most - 1]
        assert [e.text for e in found.iter(f"{_SPACE}Prefix")][1:] == ["a/"]
        assert next(found.iter(f"{_SPACE}LastModified")).text == "2023-11-14T22:13:20.000Z"
