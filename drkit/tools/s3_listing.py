"""Listings of a bucket: sorted, checked to be, and many times faster than boto3's own.

boto3 takes some 40 ms to make 1,000 keys of an answer, and holds the interpreter while it does. Here
expat reads the answer, before boto3 does, which finds an empty document then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

from drkit.errors import ToolFailed
from drkit.tools.s3_access import Object
from drkit.tools.s3_client import Client

_PAGE = "drkit-page"


class Page(NamedTuple):
    """One answer: objects, the prefixes that a delimiter folded, how to ask for the next (None: last)."""

    objects: list[Object]
    prefixes: list[str]
    following: dict[str, str] | None


def take_over(client: Client) -> None:
    """Read this client's listings here."""
    for operation in ("ListObjectsV2", "ListObjectVersions"):
        client.api.meta.events.register(f"before-parse.s3.{operation}", _before_parse)


def _before_parse(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_event: object
) -> None:
    if response_dict["status_code"] != 200:
        return
    page = parse(response_dict["body"])
    if page is not None:
        customized_response_dict[_PAGE] = page
        response_dict["body"] = b""


def parse(body: bytes) -> Page | None:
    """The page in an answer's XML; None where it is no listing, which boto3 then explains."""
    try:
        # expat has limits of its own against documents that grow without end.
        root = ElementTree.fromstring(body)  # noqa: S314
    except ElementTree.ParseError:
        return None
    namespace, _, name = root.tag.rpartition("}")
    if name not in ("ListBucketResult", "ListVersionsResult"):
        return None
    space = f"{namespace}}}" if namespace else ""
    decoded = root.findtext(f"{space}EncodingType") == "url"
    objects, prefixes = _entries(root, space, decoded)
    return Page(objects, prefixes, _following(root, space, decoded))


def _entries(root: ElementTree.Element, space: str, decoded: bool) -> tuple[list[Object], list[str]]:
    content, version, marker = f"{space}Contents", f"{space}Version", f"{space}DeleteMarker"
    common, cut = f"{space}CommonPrefixes", len(space)
    objects, prefixes = [], []
    for entry in root:
        tag = entry.tag
        if tag in (content, version, marker):
            found = {field.tag[cut:]: field.text or "" for field in entry}
            key = found["Key"]
            objects.append(
                Object(
                    unquote(key) if decoded and "%" in key else key,
                    int(found.get("Size", 0)),
                    found.get("ETag", "").strip('"'),
                    found["LastModified"],
                    found.get("VersionId"),
                    found.get("IsLatest", "true") == "true",
                    tag == marker,
                )
            )
        elif tag == common:
            prefix = entry.findtext(f"{space}Prefix") or ""
            prefixes.append(unquote(prefix) if decoded else prefix)
    # Some servers give versions first and delete markers behind them; sorting keeps the order within a key.
    objects.sort(key=lambda found: found.key)
    return objects, prefixes


def _following(root: ElementTree.Element, space: str, decoded: bool) -> dict[str, str] | None:
    if root.findtext(f"{space}IsTruncated") != "true":
        return None
    token = root.findtext(f"{space}NextContinuationToken")
    if token:
        return {"ContinuationToken": token}
    key = root.findtext(f"{space}NextKeyMarker") or ""
    version = root.findtext(f"{space}NextVersionIdMarker")
    if not key:
        raise ToolFailed("a listing says that it goes on, and not where")
    marker = {"KeyMarker": unquote(key) if decoded else key}
    return marker | ({"VersionIdMarker": version} if version else {})


def pages(client: Client, prefix: str, *, versions: bool, delimiter: str = "") -> Iterator[Page]:
    """The pages of a listing, one after another."""
    method = client.api.list_object_versions if versions else client.api.list_objects_v2
    following: dict[str, str] | None = {}
    while following is not None:
        more = {"Delimiter": delimiter} if delimiter else {}
        page: Page = client.call(method, Prefix=prefix, **more, **following)[_PAGE]
        yield page
        if page.following == following:
            raise ToolFailed(f"{client.where}: the listing of {prefix!r} turns in a circle")
        following = page.following


def in_order(client: Client, prefix: str, *, versions: bool) -> Iterator[Object]:
    """The objects below a prefix, sorted by key; raises ToolFailed where the server does not sort them."""
    last = ""
    for page in pages(client, prefix, versions=versions):
        for found in page.objects:
            if found.key < last:
                raise ToolFailed(
                    f"{client.where}: the listing of {prefix!r} is not sorted: {found.key} after {last}"
                )
            last = found.key
        yield from page.objects
