"""Storing a big blob part by part: it becomes visible when its last part is there and its hash is right.

The parts of a blob of one size are always the same, so that an upload which a killed run began can go on:
where the service shows a part's MD5, one that is there is not sent again.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

from drkit.errors import BucketFailed, ObjectMissing, WrongBytes
from drkit.tools.s3 import uploading
from drkit.tools.s3.access import Lock, Put, kept_version
from drkit.tools.s3.client import Client


class Multipart:
    """One big blob on its way to `key`; used once."""

    def __init__(self, client: Client, key: str, size: int, digest: str, lock: Lock | None) -> None:
        self._client, self._key, self._size, self._digest, self._lock = client, key, size, digest, lock
        self._upload = ""
        self._there: dict[int, str] = {}
        self._sent: list[dict[str, object]] = []

    def put(self, pieces: Iterable[bytes]) -> Put:
        """Send it; WrongBytes or ObjectMissing are raised when the upload has been thrown away."""
        self._begin()
        try:
            self._send(pieces)
        except (WrongBytes, ObjectMissing):
            # Or what it comes from is not there: nobody ever goes on with it.
            uploading.abort(self._client, self._key, self._upload)
            raise
        answer = self._client.call(
            self._client.api.complete_multipart_upload,
            Key=self._key,
            UploadId=self._upload,
            MultipartUpload={"Parts": self._sent},
        )
        version = kept_version(answer)
        if self._lock is not None:
            # Not when it begins: an upload that is taken up again would be locked too briefly.
            uploading.retain(self._client, self._key, version, self._lock)
        return Put(version)

    def _send(self, pieces: Iterable[bytes]) -> None:
        """Every part, with no more than one of them in memory; the hash of all is right, or WrongBytes."""
        found, length, source = hashlib.sha256(), 0, _Source(pieces)
        for number in range(1, -(-self._size // self._part_size) + 1):
            wanted = min(self._part_size, self._size - length)
            with uploading.buffers.of(wanted):
                data = source.take(wanted)
                found.update(data.getbuffer())
                length += data.tell()
                # A short part is one that lacks bytes: it need not be sent.
                if data.tell() == wanted:
                    self._send_part(number, data)
        rest = source.take(1).tell()
        uploading.check(self._client, self._key, self._size, self._digest, length + rest, found.hexdigest())

    @property
    def _part_size(self) -> int:
        return uploading.part_size(self._size)

    def _send_part(self, number: int, data: BytesIO) -> None:
        digest = hashlib.md5(data.getbuffer(), usedforsecurity=False)
        etag = self._there.get(number)
        if etag != digest.hexdigest():
            self._client.outgoing.take(data.tell())
            answer = self._client.call(
                self._client.api.upload_part,
                Key=self._key,
                UploadId=self._upload,
                PartNumber=number,
                Body=data.getvalue(),
                ContentMD5=base64.b64encode(digest.digest()).decode(),
            )
            etag = answer["ETag"].strip('"')
        self._sent.append({"PartNumber": number, "ETag": f'"{etag}"'})

    def _begin(self) -> None:
        """Take up an upload of this key that somebody began, or begin one."""
        begun = [each for each in uploading.unfinished(self._client, self._key) if each.key == self._key]
        if begun:
            newest = max(begun, key=lambda each: each.started)
            with contextlib.suppress(BucketFailed):
                self._there = dict(self._parts_of(newest.id))
                self._upload = newest.id
                return
        for old in begun:
            uploading.abort(self._client, self._key, old.id)
        answer = self._client.call(self._client.api.create_multipart_upload, Key=self._key)
        self._upload = str(answer["UploadId"])

    def _parts_of(self, upload: str) -> Iterator[tuple[int, str]]:
        marker: int | None = 0
        while marker is not None:
            answer: Any = self._client.call(
                self._client.api.list_parts, Key=self._key, UploadId=upload, PartNumberMarker=marker
            )
            yield from ((part["PartNumber"], part["ETag"].strip('"')) for part in answer.get("Parts", ()))
            marker = answer["NextPartNumberMarker"] if answer.get("IsTruncated") else None


class _Source:
    """Pieces of any length, taken in other lengths."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def take(self, size: int) -> BytesIO:
        """So many bytes, fewer only at the end."""
        data = BytesIO()
        while data.tell() < size:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
            taken = self._rest[: size - data.tell()]
            data.write(taken)
            self._rest = self._rest[len(taken) :]
        return data
