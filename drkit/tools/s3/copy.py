"""Copying a blob by the service itself, which counts only if it proves what it copied.

The answer to a copy that asks for it carries the SHA-256 of the bytes. A service that does not answer with
one is asked once and never again; nor is one where these credentials may not read the other bucket.
"""

from __future__ import annotations

import base64
import logging
import threading
from typing import Any, NamedTuple

from drkit.errors import BucketFailed, BucketRefused, ObjectMissing, ToolFailed, WrongBytes
from drkit.tools.s3.access import Lock, Put, kept_version
from drkit.tools.s3.client import Client
from drkit.tools.s3.uploading import retain

log = logging.getLogger(__name__)

# S3 copies no more in one request, and of what is copied in parts it knows no SHA-256 of the whole.
LARGEST = 5 << 30


class Source(NamedTuple):
    """What is copied: an object, or one version of it."""

    key: str
    version: str | None = None


class ServerSide:
    """Copies into one bucket by its service, from another one of the same."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asking = threading.Lock()
        # What is known of each source bucket: whether its blobs can be copied here, with proof.
        self._proves: dict[str, bool] = {}

    def may_copy(self, bucket: str, size: int) -> bool:
        """Whether nothing is known against copying so big a blob of that bucket."""
        return size <= LARGEST and self._proves.get(bucket, True)

    def copy(
        self, bucket: str, source: Source, key: str, size: int, digest: str, lock: Lock | None
    ) -> Put | None:
        """Copy a blob, or a version of it; None where it has to go another way.

        Raises WrongBytes, when the copy has been taken away again.
        """
        if size > LARGEST:
            return None
        put = None
        # One copy finds out, while the others wait: otherwise dozens would be made and removed again.
        with self._asking:
            known = bucket in self._proves
            if not known:
                put = self._copy(bucket, source, key, digest)
                self._proves[bucket] = put is not None
        if known and self._proves[bucket]:
            put = self._copy(bucket, source, key, digest)
        if put is not None and lock is not None:
            # Not before it is proven: what is wrong must not stay because it is locked.
            retain(self._client, key, put.version, lock)
        return put

    def _copy(self, bucket: str, source: Source, key: str, digest: str) -> Put | None:
        version = {"VersionId": source.version} if source.version else {}
        try:
            answer = self._client.call(
                self._client.api.copy_object,
                Key=key,
                CopySource={"Bucket": bucket, "Key": source.key, **version},
                ChecksumAlgorithm="SHA256",
                # Neither is needed, and reading tags needs a right of its own.
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",
            )
        except ObjectMissing:
            raise
        except (BucketRefused, BucketFailed) as error:
            self._give_up(bucket, error.message)
            return None
        except ToolFailed as error:
            # Whether the service is unwell or only slow at this: the other way will tell.
            log.debug("%s", error.message)
            return None
        return self._judge(bucket, key, digest, answer)

    def _judge(self, bucket: str, key: str, digest: str, answer: dict[str, Any]) -> Put | None:
        proof = answer.get("CopyObjectResult", {}).get("ChecksumSHA256")
        expected = base64.b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()
        if proof == expected:
            return Put(kept_version(answer))
        self._remove(key, answer.get("VersionId"))
        if proof is None:
            self._give_up(bucket, "it does not tell the SHA-256 of what it copies")
            return None
        raise WrongBytes(f"{self._client.where}: {key}: the copied bytes do not hash to {digest}")

    def _remove(self, key: str, version: str | None) -> None:
        which = {"VersionId": version} if version else {}
        try:
            self._client.tidy(self._client.api.delete_object, Key=key, **which)
        except ToolFailed:
            if version is None:
                raise
            # A bucket that locks everything by itself keeps the version; nobody must see it, at least.
            self._client.tidy(self._client.api.delete_object, Key=key)

    def _give_up(self, bucket: str, why: str) -> None:
        self._proves[bucket] = False
        log.info("%s: blobs of %s are not copied by the service: %s", self._client.where, bucket, why)
