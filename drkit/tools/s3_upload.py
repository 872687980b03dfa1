"""Storing a blob: only bytes that hash to its name ever become visible."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

from drkit.errors import BucketFailed, ObjectMissing, ToolFailed, WrongBytes
from drkit.tools.s3_access import Lock, Put, Upload
from drkit.tools.s3_client import Client

PART = 8 << 20
_MOST_PARTS = 10_000
_BUDGET = 96 << 20


class Budget:
    """Bytes that buffers may take in all; who wants more than is free waits."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Hold `size` bytes of it; one that is larger than all of it gets all of it."""
        taken = min(size, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= taken)
            self._free -= taken
        try:
            yield
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()


_buffers = Budget(_BUDGET)


def put_blob(
    client: Client, key: str, size: int, pieces: Iterable[bytes], digest: str, lock: Lock | None
) -> Put:
    """Store it; raises WrongBytes, with nothing visible, where size or hash are others than promised."""
    part = part_size(size)
    if size > part:
        return _Multipart(client, key, size, digest, lock).put(pieces)
    with _buffers.of(size):
        data, found = BytesIO(), hashlib.sha256()
        for piece in pieces:
            found.update(piece)
            data.write(piece)
            _not_longer(client, key, size, data.tell())
        check(client, key, size, digest, data.tell(), found.hexdigest())
        answer = client.call(
            client.api.put_object, Key=key, Body=data.getvalue(), ContentMD5=_md5(data), **locking(lock)
        )
    return Put(answer.get("VersionId"), size, server_side=False)


def part_size(size: int) -> int:
    """How long the parts of a blob are: always the same for one size, so that an upload can go on."""
    mebibytes = -(-size // (_MOST_PARTS << 20))
    return max(PART, mebibytes << 20)


def locking(lock: Lock | None) -> dict[str, object]:
    """The arguments that lock an object from its first moment on."""
    if lock is None:
        return {}
    return {"ObjectLockMode": lock.mode.upper(), "ObjectLockRetainUntilDate": lock.until}


def check(client: Client, key: str, size: int, digest: str, length: int, found: str) -> None:
    """Raise WrongBytes unless length and hash are what the blob's name promises."""
    if length != size:
        raise WrongBytes(f"{client.where}: {key} has {length} bytes and not {size}")
    if f"sha256:{found}" != digest:
        raise WrongBytes(f"{client.where}: {key} hashes to sha256:{found} and not to {digest}")


def _not_longer(client: Client, key: str, size: int, length: int) -> None:
    if length > size:
        raise WrongBytes(f"{client.where}: {key} has more than {size} bytes")


def _md5(data: BytesIO) -> str:
    return base64.b64encode(hashlib.md5(data.getbuffer(), usedforsecurity=False).digest()).decode()


class _Multipart:
    """One big blob on its way, part by part; completed only when its hash is right."""

    def __init__(self, client: Client, key: str, size: int, digest: str, lock: Lock | None) -> None:
        self._client, self._key, self._size, self._digest, self._lock = client, key, size, digest, lock
        self._sent: list[dict[str, object]] = []

    def put(self, pieces: Iterable[bytes]) -> Put:
        upload, there = self._begun()
        found, length = hashlib.sha256(), 0
        part = part_size(self._size)
        for number, (data, held) in enumerate(_parts(pieces, part), 1):
            with held:
                found.update(data.getbuffer())
                length += data.tell()
                if length > self._size:
                    abort(self._client, self._key, upload)
                _not_longer(self._client, self._key, self._size, length)
                self._part(upload, number, data, there)
        try:
            check(self._client, self._key, self._size, self._digest, length, found.hexdigest())
        except WrongBytes:
            abort(self._client, self._key, upload)
            raise
        answer = self._client.call(
            self._client.api.complete_multipart_upload,
            Key=self._key,
            UploadId=upload,
            MultipartUpload={"Parts": self._sent},
        )
        return Put(answer.get("VersionId"), self._size, server_side=False)

    def _part(self, upload: str, number: int, data: BytesIO, there: dict[int, str]) -> None:
        digest = hashlib.md5(data.getbuffer(), usedforsecurity=False)
        etag = there.get(number)
        # Where the service shows a part's MD5, one that is there need not be sent again.
        if etag != digest.hexdigest():
            answer = self._client.call(
                self._client.api.upload_part,
                Key=self._key,
                UploadId=upload,
                PartNumber=number,
                Body=data.getvalue(),
                ContentMD5=base64.b64encode(digest.digest()).decode(),
            )
            etag = answer["ETag"]
        self._sent.append({"PartNumber": number, "ETag": etag})

    def _begun(self) -> tuple[str, dict[int, str]]:
        """An upload of this key that somebody began, with its parts' hashes, or a new one."""
        begun = [found for found in unfinished(self._client, self._key) if found.key == self._key]
        if begun and self._lock is None:
            newest = max(begun, key=lambda found: found.started)
            with contextlib.suppress(ObjectMissing, BucketFailed):
                return newest.id, dict(self._parts_of(newest.id))
        answer = self._client.call(
            self._client.api.create_multipart_upload, Key=self._key, **locking(self._lock)
        )
        return str(answer["UploadId"]), {}

    def _parts_of(self, upload: str) -> Iterator[tuple[int, str]]:
        marker: int | None = 0
        while marker is not None:
            answer: Any = self._client.call(
                self._client.api.list_parts, Key=self._key, UploadId=upload, PartNumberMarker=marker
            )
            yield from ((part["PartNumber"], part["ETag"].strip('"')) for part in answer.get("Parts", ()))
            marker = answer["NextPartNumberMarker"] if answer.get("IsTruncated") else None


def _parts(
    pieces: Iterable[bytes], size: int
) -> Iterator[tuple[BytesIO, contextlib.AbstractContextManager[None]]]:
    """Parts of that many bytes, with what holds their share of the budget until they are sent."""
    data = BytesIO()
    for piece in pieces:
        view = memoryview(piece)
        while view:
            taken = view[: size - data.tell()]
            data.write(taken)
            view = view[len(taken) :]
            if data.tell() == size:
                yield data, contextlib.nullcontext()
                data = BytesIO()
    if data.tell():
        yield data, contextlib.nullcontext()


def unfinished(client: Client, prefix: str) -> Iterator[Upload]:
    """The multipart uploads below a prefix that nobody has completed."""
    more: dict[str, str] = {}
    while True:
        answer = client.call(client.api.list_multipart_uploads, Prefix=prefix, **more)
        for found in answer.get("Uploads", ()):
            yield Upload(found["Key"], found["UploadId"], found["Initiated"])
        if not answer.get("IsTruncated"):
            return
        following = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}
        if following == more:
            raise ToolFailed(f"{client.where}: the list of unfinished uploads turns in a circle")
        more = following


def abort(client: Client, key: str, upload: str) -> None:
    """Throw an unfinished upload away; one that is gone is fine."""
    try:
        client.tidy(client.api.abort_multipart_upload, Key=key, UploadId=upload)
    except BucketFailed as error:
        if error.code != "NoSuchUpload":
            raise
