"""A bucket of an S3 service, by boto3.

Every method raises BucketMissing, BucketRefused or ObjectMissing where that is what is wrong, else
ToolFailed; what is transient has been tried again by then. No exception of boto3's is seen above
this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from drkit.errors import BucketFailed, NotDeleted, ObjectMissing, ToolFailed
from drkit.tools.memory import give_back_large_blocks
from drkit.tools.s3.access import (
    NULL_VERSION,
    Access,
    Lock,
    LockMode,
    Object,
    Put,
    Upload,
    content_md5,
    kept_version,
)

if TYPE_CHECKING:
    from drkit.tools.s3.client import Client

__all__ = ["NULL_VERSION", "Access", "Bucket", "Lock", "LockMode", "Object", "Put", "Upload"]

_NO_LOCKS = (
    "ObjectLockConfigurationNotFoundError",
    "NotImplemented",
    "MethodNotAllowed",
    "InvalidRequest",
)


class Bucket:
    """One bucket: a context manager, to be used from many threads at once."""

    def __init__(self, access: Access) -> None:
        give_back_large_blocks()
        # boto3 takes a sixth of a second to load: only where there is a bucket.
        from drkit.tools.s3 import pages
        from drkit.tools.s3.client import Client
        from drkit.tools.s3.copy import ServerSide

        self.access = access
        self.where = access.where
        self.client: Client = Client(access)
        pages.take_over(self.client)
        self._server_side = ServerSide(self.client)

    def __enter__(self) -> Bucket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    @property
    def ahead(self) -> timedelta:
        """How far the service's clock is ahead of this machine's, as its last answer told (to a second)."""
        return self.client.ahead

    def now(self) -> datetime:
        """What time it is by the service's clock, as far as it has answered yet."""
        return datetime.now(UTC) + self.ahead

    def same_service(self, other: Bucket) -> bool:
        """Whether both are of one service, which may be able to copy from the other by itself."""
        mine, theirs = (bucket.access.endpoint for bucket in (self, other))
        return (mine or "").rstrip("/").lower() == (theirs or "").rstrip("/").lower()

    def may_copy(self, other: Bucket, size: int) -> bool:
        """Whether the service copies so big a blob of the other bucket by itself, as far as is known."""
        return self.same_service(other) and self._server_side.may_copy(other.access.bucket, size)

    def listed(self, prefix: str = "", *, versions: bool = False) -> Iterator[Object]:
        """The objects below a prefix, sorted by key, one page after another.

        With `versions` all versions and delete markers, the latest of a key first.
        """
        from drkit.tools.s3 import listing

        found = listing.one_by_one(self.client, prefix, versions=versions)
        return listing.each_once(found) if versions else found

    def listed_at_once(self, prefix: str, *, versions: bool = False) -> Iterator[Object]:
        """The same as `listed`, asked for side by side."""
        from drkit.tools.s3 import listing

        found = listing.at_once(self.client, prefix, versions=versions)
        return listing.each_once(found) if versions else found

    def first(self, prefix: str) -> Object | None:
        """The first object below a prefix, None where there is none."""
        from drkit.tools.s3 import listing

        return listing.first_of(self.client, prefix)

    def read(self, key: str, version: str | None = None) -> Iterator[bytes]:
        """A whole object, in pieces; a connection that breaks is taken up again where it broke.

        Raises SourceChanged where the object is another one by then.
        """
        from drkit.tools.s3 import reading

        return reading.read(self.client, key, version)

    def head(self, key: str, count: int, version: str | None = None) -> bytes:
        """The first bytes of an object, at most so many."""
        from drkit.tools.s3 import reading

        return reading.head(self.client, key, version, count)

    def read_small(self, key: str, version: str | None = None, limit: int = 16 << 20) -> bytes:
        """A small object at once; ToolFailed for one of more than `limit` bytes."""
        data = bytearray()
        for piece in self.read(key, version):
            data += piece
            if len(data) > limit:
                raise ToolFailed(f"{self.where}: {key} has more than {limit} bytes")
        return bytes(data)

    def put(self, key: str, data: bytes) -> str | None:
        """Store a small object; returns its version, None where the bucket keeps none."""
        answer = self.client.call(
            self.client.api.put_object, Key=key, Body=data, ContentMD5=content_md5(data)
        )
        return kept_version(answer)

    def put_blob(
        self, key: str, size: int, pieces: Iterable[bytes], digest: str, lock: Lock | None = None
    ) -> Put:
        """Store a blob whose bytes hash to its name; WrongBytes if they do not, and then nothing is there.

        Big ones go in parts; an upload of the same key that a killed run began is taken up again.
        """
        from drkit.tools.s3 import uploading

        return uploading.put_blob(self.client, key, size, pieces, digest, lock)

    def copy_by_service(
        self,
        source: Bucket,
        source_key: str,
        key: str,
        size: int,
        digest: str,
        lock: Lock | None = None,
        *,
        source_version: str | None = None,
    ) -> Put | None:
        """Let the service copy a blob (or a version of it) from another bucket of its own.

        None where it has to go another way: it is too big, or the service does not prove what it copies.
        Raises WrongBytes where it does not hash to its name, and then nothing is there.
        """
        from drkit.tools.s3.copy import Source

        what = Source(source_key, source_version)
        return self._server_side.copy(source.access.bucket, what, key, size, digest, lock)

    def delete(self, objects: Sequence[tuple[str, str | None]], *, tidying: bool = False) -> None:
        """Delete objects, or their versions; NotDeleted says which stayed, when all have been tried.

        What is `tidying` is done even while drkit is being interrupted.
        """
        from drkit.tools.s3 import deleting

        kept = tuple(deleting.delete(self.client, objects, tidying=tidying))
        if kept:
            raise NotDeleted(
                f"{self.where}: {len(kept)} objects stay, the first {kept[0][0]}: {kept[0][2]}", kept=kept
            )

    def unfinished(self, prefix: str) -> Iterator[Upload]:
        """The multipart uploads below a prefix that nobody has completed."""
        from drkit.tools.s3 import uploading

        return uploading.unfinished(self.client, prefix)

    def abort(self, upload: Upload) -> None:
        """Throw away an unfinished upload; one that is gone is fine."""
        from drkit.tools.s3 import uploading

        uploading.abort(self.client, upload.key, upload.id)

    def versioning(self) -> bool:
        """Whether the bucket keeps the old version of an object that is written again or deleted."""
        return self._versioning() == "Enabled"

    def has_versions(self) -> bool:
        """Whether the bucket may have old versions: it keeps them, or did so before that was suspended."""
        return self._versioning() != ""

    def _versioning(self) -> str:
        try:
            answer = self.client.call(self.client.api.get_bucket_versioning)
        except BucketFailed as error:
            if error.code in ("NotImplemented", "MethodNotAllowed"):
                return ""
            raise
        return str(answer.get("Status", ""))

    def object_lock(self) -> bool:
        """Whether objects in the bucket can be locked."""
        return bool(self._locks().get("ObjectLockEnabled") == "Enabled")

    def locks_new_for(self) -> int | None:
        """For how many days the bucket locks by itself what is put there; None where it does not."""
        rule = self._locks().get("Rule", {}).get("DefaultRetention", {})
        days = int(rule.get("Days") or 0) + 365 * int(rule.get("Years") or 0)
        return days or None

    def _locks(self) -> dict[str, Any]:
        try:
            answer = self.client.call(self.client.api.get_object_lock_configuration)
        except ObjectMissing:
            return {}
        except BucketFailed as error:
            if error.code in _NO_LOCKS:
                return {}
            raise
        found: dict[str, Any] = answer.get("ObjectLockConfiguration", {})
        return found

    def lock(self, key: str, version: str | None, until: datetime, mode: LockMode) -> None:
        """Lock a version until then; a lock can only grow."""
        from drkit.tools.s3 import uploading

        uploading.retain(self.client, key, version, Lock(until, mode))

    def locked_until(self, key: str, version: str | None) -> datetime | None:
        """When the lock of a version ends; None where it has none.

        Asked with the object's other properties, which every service tells that can lock.
        """
        which = {"VersionId": version} if version else {}
        answer = self.client.call(self.client.api.head_object, Key=key, **which)
        until: datetime | None = answer.get("ObjectLockRetainUntilDate")
        return until
