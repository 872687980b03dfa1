"""An S3 service for the benchmark alone: buckets of a million blobs that it lists, each answer after 20 ms.

`full` has all blobs, below registry/; `empty` has none and forgets what is put. Every blob is the decimal
number that its digest is the hash of. It checks no signatures. GET /-/counts tells how many requests came and
how many of them at once, and begins to count anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "registry/docker/registry/v2/blobs/sha256/"
PAGE = 1000
_DIGEST = 32
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>full</Name><EncodingType>url</EncodingType><MaxKeys>1000</MaxKeys>"
)
_ENTRY = (
    "<Contents><Key>{prefix}{folder}/{digest}/data</Key><LastModified>2026-11-24T02:00:00.000Z</LastModified>"
    "<ETag>&quot;{etag}&quot;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class Digests:
    """Sorted digests in one block of memory."""

    def __init__(self, count: int) -> None:
        found = sorted(hashlib.sha256(content(number)).digest() for number in range(count))
        self._block = b"".join(found)

    def __len__(self) -> int:
        return len(self._block) // _DIGEST

    def __getitem__(self, number: int) -> str:
        return key_of(self._block[number * _DIGEST : (number + 1) * _DIGEST].hex())


def content(number: int) -> bytes:
    """The bytes of a blob: seven digits."""
    return b"%07d" % number


def key_of(digest: str) -> str:
    """Where a blob stands."""
    return f"{PREFIX}{digest[:2]}/{digest}/data"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    digests: Digests
    contents: dict[str, bytes]
    latency: float
    counting = threading.Lock()
    requests = now = most = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # No waiting for an acknowledgement between head and body.
    disable_nagle_algorithm = True
    server: _Server

    def _counted(self) -> None:
        server = self.server
        with server.counting:
            server.requests += 1
            server.now += 1
            server.most = max(server.most, server.now)
        try:
            time.sleep(server.latency)
            self._answer()
        finally:
            with server.counting:
                server.now -= 1

    do_GET = do_PUT = do_POST = _counted  # noqa: N815

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = urlsplit(self.path)
        asked = parse_qs(place.query, keep_blank_values=True)
        bucket, _, key = place.path[1:].partition("/")
        if place.path == "/-/counts":
            self._send(self._counts())
        elif self.command == "PUT":
            self._send(b"", ETag=f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
        elif key:
            self._send(self.server.contents[unquote(key)], ETag='"0"')
        else:
            self._send(self._page(bucket, {name: values[0] for name, values in asked.items()}))

    def _counts(self) -> bytes:
        server = self.server
        with server.counting:
            found = {"requests": server.requests - 1, "most": server.most}
            server.requests = server.most = 0
        return json.dumps(found).encode()

    def _page(self, bucket: str, asked: dict[str, str]) -> bytes:
        keys, prefix = self.server.digests, asked.get("prefix", "")
        after = asked.get("continuation-token") or asked.get("start-after") or ""
        start = max(bisect_right(keys, after), bisect_left(keys, prefix))
        stop = min(bisect_right(keys, prefix + "\x7f"), start + int(asked.get("max-keys", PAGE)))
        names = [keys[number] for number in range(start, stop)] if bucket == "full" else []
        more = bool(names) and stop < len(keys) and keys[stop].startswith(prefix)
        end = f"<NextContinuationToken>{names[-1]}</NextContinuationToken>" if more else ""
        entries = [
            _ENTRY.format(prefix=PREFIX, folder=name[-72:-70], digest=name[-69:-5], etag=name[-69:-37])
            for name in names
        ]
        rest = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{end}</ListBucketResult>"
        return "".join([_HEAD, *entries, rest]).encode()

    def _send(self, content: bytes, **headers: str) -> None:
        self.send_response_only(200)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """What is said here nobody reads."""


def main(port: int, keys: int, contents: int, milliseconds: float) -> None:
    """Serve until the process is ended."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.digests = Digests(keys)
    numbers = range(contents)
    server.contents = {key_of(hashlib.sha256(content(n)).hexdigest()): content(n) for n in numbers}
    server.latency = milliseconds / 1000
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
