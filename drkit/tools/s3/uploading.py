"""Storing a blob: only bytes that hash to its name ever become visible."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from io import BytesIO

from drkit.errors import BucketFailed, ToolFailed, WrongBytes
from drkit.tools.budget import Budget
from drkit.tools.s3.access import Lock, Put, Upload, content_md5, kept_version
from drkit.tools.s3.client import Client

PART = 8 << 20
_MOST_PARTS = 10_000
_BUDGET = 96 << 20


buffers = Budget(_BUDGET)


def put_blob(
    client: Client, key: str, size: int, pieces: Iterable[bytes], digest: str, lock: Lock | None
) -> Put:
    """Store it; raises WrongBytes, with nothing visible, where size or hash are others than promised."""
    part = part_size(size)
    if size > part:
        from drkit.tools.s3.multipart import Multipart

        return Multipart(client, key, size, digest, lock).put(pieces)
    with buffers.of(size):
        data, found = BytesIO(), hashlib.sha256()
        for piece in pieces:
            found.update(piece)
            data.write(piece)
            _not_longer(client, key, size, data.tell())
        check(client, key, size, digest, data.tell(), found.hexdigest())
        md5 = content_md5(data.getbuffer())
        client.outgoing.take(size)
        answer = client.call(
            client.api.put_object, Key=key, Body=data.getvalue(), ContentMD5=md5, **locking(lock)
        )
    return Put(kept_version(answer))


def part_size(size: int) -> int:
    """How long the parts of a blob are: always the same for one size, so that an upload can go on."""
    mebibytes = -(-size // (_MOST_PARTS << 20))
    return max(PART, mebibytes << 20)


def locking(lock: Lock | None) -> dict[str, object]:
    """The arguments that lock an object from its first moment on."""
    if lock is None:
        return {}
    return {"ObjectLockMode": lock.mode.upper(), "ObjectLockRetainUntilDate": lock.until}


def retain(client: Client, key: str, version: str | None, lock: Lock) -> None:
    """Lock an object that is there; a lock can only grow."""
    which = {"VersionId": version} if version else {}
    retention = {"Mode": lock.mode.upper(), "RetainUntilDate": lock.until}
    client.call(client.api.put_object_retention, Key=key, Retention=retention, **which)


def check(client: Client, key: str, size: int, digest: str, length: int, found: str) -> None:
    """Raise WrongBytes unless length and hash are what the blob's name promises."""
    if length != size:
        raise WrongBytes(f"{client.where}: {key} has {length} bytes and not {size}")
    if f"sha256:{found}" != digest:
        raise WrongBytes(f"{client.where}: {key} hashes to sha256:{found} and not to {digest}")


def _not_longer(client: Client, key: str, size: int, length: int) -> None:
    if length > size:
        raise WrongBytes(f"{client.where}: {key} has more than {size} bytes")


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
            raise ToolFailed(f"{client.where}: the list of unfinished uploads repeats itself")
        more = following


def abort(client: Client, key: str, upload: str) -> None:
    """Throw an unfinished upload away; one that is gone is fine."""
    try:
        client.tidy(client.api.abort_multipart_upload, Key=key, UploadId=upload)
    except BucketFailed as error:
        if error.code != "NoSuchUpload":
            raise
