"""Reading a listing's XML: what services really send, and what is no listing."""

from __future__ import annotations

import pytest

from drkit.errors import ToolFailed
from drkit.tools.s3.access import Object
from drkit.tools.s3.pages import parse

SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def plain(content: str, space: str = SPACE) -> bytes:
    return f'<?xml version="1.0"?><ListBucketResult {space}>{content}</ListBucketResult>'.encode()


def entry(key: str, *more: str) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-11-24T12:00:00.000Z</LastModified>"
        f"<ETag>&quot;abc-2&quot;</ETag><Size>17</Size>{''.join(more)}</Contents>"
    )


@pytest.mark.parametrize("space", [SPACE, ""])
def test_objects(space: str) -> None:
    page = parse(plain("<IsTruncated>false</IsTruncated>" + entry("a") + entry("b&amp;c"), space))
    assert page is not None
    assert page.objects == [
        Object("a", 17, "abc-2", "2026-11-24T12:00:00.000Z"),
        Object("b&c", 17, "abc-2", "2026-11-24T12:00:00.000Z"),
    ]
    assert (page.prefixes, page.following) == ([], None)


@pytest.mark.parametrize("quote", ['"', "&quot;", "&#34;", "&#x22;", ""])
def test_quotes_of_etags_in_every_spelling(quote: str) -> None:
    body = plain(entry("a").replace("&quot;", quote))
    quick = parse(body)
    for page in (quick, parse(body, quickly=False)):
        assert page is not None
        assert [found.etag for found in page.objects] == ["abc-2"]


def test_an_entry_that_lacks_something_or_has_more() -> None:
    owner = "<Owner><ID>x</ID></Owner><StorageClass>STANDARD</StorageClass>"
    without = "<Contents><Key>c</Key><Size>3</Size></Contents>"
    page = parse(plain(entry("a", owner) + without))
    assert page is not None
    assert [(found.key, found.size, found.etag) for found in page.objects] == [
        ("a", 17, "abc-2"),
        ("c", 3, ""),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        "<Contents><Key>c</Key><Size>3</Size></Contents>",
        "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>" + entry("c"),
        "<!-- <Contents> -->" + entry("c"),
        entry("b&lt;") + entry("c"),
        entry("c", "<Owner><ID>x</ID></Owner>"),
        entry("c").replace("<Key>", "<Key >"),
        "\n " + entry("b") + "\n " + entry("c"),
    ],
)
def test_the_quick_way_and_the_other_find_the_same(odd: str) -> None:
    body = plain(entry("a") + odd + "<IsTruncated>false</IsTruncated>")
    quick = parse(body)
    assert parse(body, quickly=False) == quick
    assert quick is not None
    assert [found.key for found in quick.objects][-1] == "c"


def test_a_listing_that_is_cut_short_is_none() -> None:
    body = plain(entry("a") + entry("b"))
    assert [parse(body[:length]) for length in range(len(body))] == [None] * len(body)


def test_names_that_are_encoded_and_prefixes() -> None:
    folded = "<CommonPrefixes><Prefix>x%2By/</Prefix></CommonPrefixes>"
    page = parse(plain("<EncodingType>url</EncodingType>" + entry("a%20b%2Fc") + folded))
    assert page is not None
    assert [found.key for found in page.objects] == ["a b/c"]
    assert page.prefixes == ["x+y/"]


def test_where_it_goes_on() -> None:
    more = "<IsTruncated>true</IsTruncated>"
    page = parse(plain(more + "<NextContinuationToken>t%41</NextContinuationToken>"))
    assert page is not None
    assert page.following == {"ContinuationToken": "t%41"}
    with pytest.raises(ToolFailed, match="goes on, but not where"):
        parse(plain(more))


def test_versions_and_markers_in_any_order() -> None:
    def version(kind: str, key: str, name: str, latest: str) -> str:
        inner = f"<Key>{key}</Key><VersionId>{name}</VersionId><IsLatest>{latest}</IsLatest>"
        return f"<{kind}>{inner}<LastModified>2026</LastModified></{kind}>"

    body = (
        f"<ListVersionsResult {SPACE}><IsTruncated>true</IsTruncated><NextKeyMarker>b</NextKeyMarker>"
        "<NextVersionIdMarker>3</NextVersionIdMarker>"
        + version("Version", "a", "1", "false")
        + version("Version", "b", "3", "true")
        + version("DeleteMarker", "a", "2", "true")
        + "</ListVersionsResult>"
    )
    page = parse(body.encode())
    assert page is not None
    assert [(found.key, found.version, found.deleted) for found in page.objects] == [
        ("a", "2", True),
        ("a", "1", False),
        ("b", "3", False),
    ]
    assert page.following == {"KeyMarker": "b", "VersionIdMarker": "3"}


def test_what_is_not_sorted_is_not_taken() -> None:
    with pytest.raises(ToolFailed, match="not sorted: a comes late"):
        parse(plain(entry("b") + entry("a")))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", plain(entry("a"))[:-30], b"<Error><Code>SlowDown</Code></Error>", b"\xff\xfe"]
)
def test_what_is_no_listing(body: bytes) -> None:
    assert parse(body) is None
