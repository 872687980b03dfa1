"""Reading an object: in pieces, checked for its length, taken up again where a connection broke."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from drkit.errors import BucketFailed, SourceChanged, ToolFailed
from drkit.tools.process import stopping
from drkit.tools.s3.client import BROKEN_STREAM, Client

PIECE = 256 << 10


def read(client: Client, key: str, version: str | None) -> Iterator[bytes]:
    """The object's bytes, each once; raises SourceChanged where it is another one after a break."""
    answer = _open(client, key, version)
    size, etag, done, stumbles = int(answer["ContentLength"]), answer.get("ETag"), 0, 0
    while True:
        with contextlib.closing(answer["Body"]) as body:
            try:
                for piece in body.iter_chunks(PIECE):
                    stopping.stop_if_asked()
                    client.incoming.take(len(piece))
                    done += len(piece)
                    stumbles = 0
                    yield piece
                if done == size:
                    return
                broken = "it ended early"
            except BROKEN_STREAM as error:
                broken = str(error)
        stumbles += 1
        if stumbles >= client.access.attempts:
            raise ToolFailed(
                f"{client.where}: {key} broke off after {done} of {size} bytes, {stumbles} times: {broken}",
                hint="check endpoint, and that the service works",
            )
        client.pause(stumbles)
        answer = _open(client, key, version, start=done, size=size, etag=etag)


def head(client: Client, key: str, version: str | None, count: int) -> bytes:
    """The object's first bytes, at most so many."""
    which = {"VersionId": version} if version else {}
    try:
        answer = client.call(client.api.get_object, Key=key, Range=f"bytes=0-{count - 1}", **which)
    except BucketFailed as error:
        # Of an empty object there is no such range.
        if error.code in ("InvalidRange", "416"):
            return b""
        raise
    with contextlib.closing(answer["Body"]) as body:
        try:
            return bytes(body.read(count))
        except BROKEN_STREAM as error:
            raise ToolFailed(f"{client.where}: {key} cannot be read: {error}") from None


def _open(
    client: Client, key: str, version: str | None, *, start: int = 0, size: int = 0, etag: str | None = None
) -> Any:
    which = {"VersionId": version} if version else {}
    if not start:
        return client.call(client.api.get_object, Key=key, **which)
    same = {"IfMatch": etag} if etag else {}
    try:
        answer = client.call(client.api.get_object, Key=key, Range=f"bytes={start}-", **which, **same)
    except BucketFailed as error:
        if error.code in ("PreconditionFailed", "412", "InvalidRange", "416"):
            raise SourceChanged(f"{client.where}: {key} changed while it was read") from None
        raise
    if not str(answer.get("ContentRange", "")).startswith(f"bytes {start}-{size - 1}/{size}"):
        answer["Body"].close()
        raise ToolFailed(f"{client.where}: {key} cannot be read from byte {start} on")
    return answer
