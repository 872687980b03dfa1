"""The words of S3: how a bucket is reached, and what it has."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

LockMode = Literal["governance", "compliance"]
# What a listing calls the version of an object that was put while its bucket kept none.
NULL_VERSION = "null"


@dataclass(frozen=True)
class Access:
    """How to reach a bucket, and as whom.

    Without `endpoint` it is Amazon's. Empty `credentials` mean the `profile`, or what boto finds by itself;
    `credentials_file` is where they were read, so that another machine can be told to read its own.
    `attempts` is how often a request is sent before it counts as failed, `longest_pause` the most seconds in
    between, `page` how many keys a listing asks for at once: S3 gives no more than 1,000. The limits are in
    bytes a second, None for as fast as it goes.
    """

    bucket: str
    endpoint: str | None = None
    region: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    profile: str | None = None
    ca_file: Path | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    attempts: int = 8
    longest_pause: float = 15.0
    page: int = 1000
    upload_limit: int | None = None
    download_limit: int | None = None
    credentials_file: Path | None = None

    @property
    def where(self) -> str:
        """For a person: `s3://bucket at https://...`."""
        return f"s3://{self.bucket}" + (f" at {self.endpoint}" if self.endpoint else "")


class Object(NamedTuple):
    """One object, or one version of it, of a listing.

    `size` in bytes, `etag` without quotes (no hash of the content, whatever it looks like), `modified` in ISO
    format, `version` None where the listing was not of versions, and NULL_VERSION of what was put while its
    bucket kept none. `deleted` says that it is a delete marker.
    """

    key: str
    size: int
    etag: str
    modified: str
    version: str | None = None
    latest: bool = True
    deleted: bool = False


class Lock(NamedTuple):
    """Until when an object cannot be deleted, and whether somebody with the right to may lift it."""

    until: datetime
    mode: LockMode


class Put(NamedTuple):
    """A blob that came into a bucket: its version there, None where the bucket keeps none."""

    version: str | None


def kept_version(answer: Mapping[str, Any]) -> str | None:
    """The version that the answer to a request names for what was put; None where the bucket keeps none.

    Where versioning is suspended, and with some services where there never was any, the answer is "null": the
    next object of that key takes its place, so that it names nothing that lasts.
    """
    version = answer.get("VersionId")
    return None if version in (None, "", NULL_VERSION) else str(version)


class Upload(NamedTuple):
    """A multipart upload that nobody has completed."""

    key: str
    id: str
    started: datetime


def content_md5(data: bytes | memoryview) -> str:
    """The MD5 that goes with a request, for its service to compare with what it got."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
