"""What distribution's S3 driver asks a bucket for, and the answers in XML (Amazon S3 API reference): pure.

2.8 finds a size by ListObjects with the whole key as prefix, 3.x by HeadObject; both read by GetObject with
`Range: bytes=N-`, and list directories by a delimiter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

_MOST = 1000
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/")
# Characters that no XML may have.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


class Key(NamedTuple):
    """An object of a listing; `size` is None for a common prefix, which ends in the delimiter."""

    name: str
    size: int | None
    modified: float = 0.0


@dataclass(frozen=True)
class Request:
    """What is asked of the bucket: an object by its key, or a listing where that is empty."""

    key: str
    query: Mapping[str, str]

    @property
    def prefix(self) -> str:
        """What the keys of a listing begin with."""
        return self.query.get("prefix", "")

    @property
    def delimiter(self) -> str:
        """What keys are cut at behind the prefix."""
        return self.query.get("delimiter", "")

    @property
    def after(self) -> str:
        """The last key that an earlier page of this listing had."""
        return (
            self.query.get("continuation-token")
            or self.query.get("start-after")
            or self.query.get("marker", "")
        )

    @property
    def most(self) -> int:
        """How many keys and prefixes a page may have."""
        text = self.query.get("max-keys", "")
        return min(int(text), _MOST) if text.isascii() and text.isdecimal() else _MOST

    @property
    def second(self) -> bool:
        """Whether the answer is to be that of ListObjectsV2."""
        return self.query.get("list-type") == "2"


def parse(target: str, bucket: str) -> Request | None:
    """The request that a target (path and query) makes; None where it is for another bucket."""
    split = urlsplit(target)
    name, _, key = split.path.removeprefix("/").partition("/")
    if name != bucket:
        return None
    return Request(unquote(key), dict(parse_qsl(split.query, keep_blank_values=True)))


def key_id(authorization: str) -> str:
    """The access key that a request is signed with (Signature Version 4); empty where it has none."""
    found = _CREDENTIAL.match(authorization)
    return found[1] if found else ""


def listing(bucket: str, request: Request, keys: Iterable[Key]) -> bytes:
    """The page that answers a listing; of `keys`, which are all from where it begins, it takes its part."""
    taken: list[Key] = []
    more = False
    for key in keys:
        if len(taken) == request.most:
            more = True
            break
        taken.append(key)
    last = taken[-1].name if taken else ""
    lines = [
        f"<Name>{escape(bucket)}</Name>",
        f"<Prefix>{_text(request.prefix)}</Prefix>",
        f"<MaxKeys>{request.most}</MaxKeys>",
        f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>",
        *_delimiter(request),
        *(_next(request, last) if more else ()),
        *([f"<KeyCount>{len(taken)}</KeyCount>"] if request.second else []),
        *map(_entry, taken),
    ]
    body = "".join(lines)
    return _document(
        f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</ListBucketResult>'
    )


def error(code: str, message: str) -> bytes:
    """An error as S3 tells it."""
    return _document(f"<Error><Code>{code}</Code><Message>{_text(message)}</Message></Error>")


def _delimiter(request: Request) -> Iterator[str]:
    if request.delimiter:
        yield f"<Delimiter>{_text(request.delimiter)}</Delimiter>"


def _next(request: Request, last: str) -> Iterator[str]:
    # Keys are nothing secret here: the token is the last of them.
    name = "NextContinuationToken" if request.second else "NextMarker"
    yield f"<{name}>{_text(last)}</{name}>"


def _entry(key: Key) -> str:
    if key.size is None:
        return f"<CommonPrefixes><Prefix>{_text(key.name)}</Prefix></CommonPrefixes>"
    when = datetime.fromtimestamp(key.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return (
        f"<Contents><Key>{_text(key.name)}</Key><LastModified>{when}</LastModified>"
        f"<Size>{key.size}</Size></Contents>"
    )


def _text(text: str) -> str:
    return escape(_CONTROL.sub("?", text))


def _document(body: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()
