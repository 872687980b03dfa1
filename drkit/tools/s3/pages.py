"""One answer of a listing, read many times faster than boto3 does.

boto3 takes some 50 ms to make 1,000 keys of an answer, and holds the interpreter while it does. Here the
answer is read before boto3 does, which finds an empty document then.
"""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise, repeat
from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

from drkit.errors import ToolFailed
from drkit.tools.s3.access import Object
from drkit.tools.s3.client import Client, TransientError

_OPERATIONS = ("ListObjectsV2", "ListObjectVersions")
_PAGE = "drkit-page"
_OPEN, _CLOSE = b"<Contents>", b"</Contents>"
_NEXT = re.compile(r"</Contents>\s*<Contents>")
_FIELDS = [
    re.compile(f"<{name}>({kind})</{name}>")
    for name, kind in (("Key", "[^<]*"), ("Size", "[0-9]+"), ("ETag", "[^<]*"), ("LastModified", "[^<]*"))
]
_EMPTY = b"<ListBucketResult/>"


class Page(NamedTuple):
    """Objects, sorted by key; the prefixes that a delimiter folded; how to ask for the next (None: last)."""

    objects: list[Object]
    prefixes: list[str]
    following: dict[str, str] | None


def take_over(client: Client) -> None:
    """Read this client's listings here."""
    # With these wildcards it comes before boto3's own handler, which reads the whole document, looking for an
    # error; after that one it would work as well, and take twice the time.
    client.api.meta.events.register_first("before-parse.*.*", _before_parse)


def ask(client: Client, *, versions: bool, **arguments: object) -> Page:
    """One page of a listing; the arguments are boto3's."""
    method = client.api.list_object_versions if versions else client.api.list_objects_v2

    def once() -> Page:
        page: Page | None = client.call(method, **{"MaxKeys": client.access.page, **arguments}).get(_PAGE)
        if page is None:
            # boto3 takes an answer that broke off before its first byte for an empty one.
            raise TransientError(f"{client.where}: the answer is not a listing")
        return page

    return client.persist(once)


def _before_parse(
    operation_model: Any,
    response_dict: dict[str, Any],
    customized_response_dict: dict[str, Any],
    **_event: object,
) -> None:
    if response_dict["status_code"] != 200 or operation_model.name not in _OPERATIONS:
        return
    page = parse(response_dict["body"])
    if page is not None:
        customized_response_dict[_PAGE] = page
        response_dict["body"] = _EMPTY


def parse(body: bytes, *, quickly: bool = True) -> Page | None:
    """The page in an answer's XML; None where it is no whole listing, which boto3 then stumbles over.

    What is as simple as it nearly always is can be read `quickly`, and comes to the same.
    """
    quick = _quick(body) if quickly else None
    objects, rest = quick if quick is not None else (None, body)
    try:
        # expat has limits of its own against documents that grow without end.
        root = ElementTree.fromstring(rest)  # noqa: S314
    except ElementTree.ParseError:
        return None
    namespace, brace, name = root.tag.rpartition("}")
    if name not in ("ListBucketResult", "ListVersionsResult"):
        return None
    space = namespace + brace
    encoded = root.findtext(f"{space}EncodingType") == "url"
    plain = name == "ListBucketResult"
    if objects is None:
        objects = _contents(root, space) if plain else _versions(root, space)
    if encoded and b"%" in body:
        objects = [found._replace(key=unquote(found.key)) for found in objects]
    if plain:
        _check_sorted(objects)
    else:
        # Some servers give versions first and delete markers behind them.
        objects.sort(key=lambda found: (found.key, not found.latest))
    prefixes = [found.text or "" for found in root.iterfind(f"{space}CommonPrefixes/{space}Prefix")]
    prefixes = [unquote(prefix) for prefix in prefixes] if encoded else prefixes
    return Page(objects, prefixes, _following(root, space, encoded))


def _quick(body: bytes) -> tuple[list[Object], bytes] | None:
    """The objects of a listing that is as simple as it nearly always is, and the document without them.

    All entries follow each other, each has the four fields once, no key needs an entity, and there is nothing
    like a comment. Then columns of fields are all that there is to find, in a third of expat's time; anything
    else is None.
    """
    start, last = body.find(_OPEN), body.rfind(_CLOSE)
    if start < 0 or last < 0 or b"<!" in body:
        return None
    end = last + len(_CLOSE)
    try:
        text = body[start:end].decode()
    except UnicodeDecodeError:
        return None
    keys, sizes, etags, times = (field.findall(text) for field in _FIELDS)
    count = body.count(_OPEN)
    # Where entries follow each other, one ends where the next begins, but for white space.
    if not len(keys) == len(sizes) == len(etags) == len(times) == count == len(_NEXT.findall(text)) + 1:
        return None
    if "&" in "".join(keys):
        return None
    # Servers differ in how they write the quotes: as they are, as &quot;, or as a number (those in Go).
    bare = ((unescape(etag) if "&" in etag else etag).strip('"') for etag in etags)
    return list(map(Object, keys, map(int, sizes), bare, times, repeat(None))), body[:start] + body[end:]


def _contents(root: ElementTree.Element, space: str) -> list[Object]:
    return [_object(found, space) for found in root.iterfind(f"{space}Contents")]


def _versions(root: ElementTree.Element, space: str) -> list[Object]:
    kinds = (f"{space}Version", f"{space}DeleteMarker")
    return [_object(found, space) for found in root if found.tag in kinds]


def _object(entry: ElementTree.Element, space: str) -> Object:
    found = {field.tag[len(space) :]: field.text or "" for field in entry}
    return Object(
        found["Key"],
        int(found.get("Size") or 0),
        found.get("ETag", "").strip('"'),
        found.get("LastModified", ""),
        found.get("VersionId"),
        found.get("IsLatest", "true") == "true",
        entry.tag == f"{space}DeleteMarker",
    )


def _check_sorted(objects: list[Object]) -> None:
    """Nothing may be put right here: going on after the last key of a page would leave keys out."""
    keys = [found.key for found in objects]
    if keys != sorted(keys):
        wrong = next(other for one, other in pairwise(keys) if other < one)
        raise ToolFailed(f"a listing is not sorted: {wrong} comes late")


def _following(root: ElementTree.Element, space: str, encoded: bool) -> dict[str, str] | None:
    if root.findtext(f"{space}IsTruncated") != "true":
        return None
    token = root.findtext(f"{space}NextContinuationToken")
    if token:
        return {"ContinuationToken": token}
    key = root.findtext(f"{space}NextKeyMarker") or ""
    version = root.findtext(f"{space}NextVersionIdMarker")
    if not key:
        raise ToolFailed("a listing says that it goes on, but not where")
    marker = {"KeyMarker": unquote(key) if encoded else key}
    return marker | ({"VersionIdMarker": version} if version else {})
