"""A site's images in a bucket, and another provider's bucket to keep them in: made, looked at, lost.

Both are services of the site's own (see s3_server), each with credentials of its own, as providers have.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testenv import s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_AT_ONCE = 1000  # objects in one request of deletion


@dataclass(frozen=True)
class Storage:
    """A bucket, where in it, and who may use it."""

    endpoint: str
    bucket: str
    prefix: str
    key_id: str
    secret: str
    region: str = s3_server.REGION

    @property
    def url(self) -> str:
        """The place as drkit's `--vault` takes it."""
        return f"{self.endpoint}/{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def where(self) -> str:
        """The place as `s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def credentials(self) -> dict[str, str]:
        """In the names that S3's programs know."""
        return {"AWS_ACCESS_KEY_ID": self.key_id, "AWS_SECRET_ACCESS_KEY": self.secret}

    def key(self, name: str) -> str:
        """The key of what stands there under this name."""
        return f"{self.prefix}/{name}" if self.prefix else name


@cache
def client(storage: Storage) -> Any:
    """boto3's client, with nothing of drkit's in between."""
    # Here, since few sites have buckets and it takes its time to load.
    import boto3
    from botocore.config import Config

    return boto3.session.Session(storage.key_id, storage.secret, region_name=storage.region).client(
        "s3",
        endpoint_url=storage.endpoint,
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )


def elsewhere() -> tuple[str, str, str] | None:
    """The service that DRKIT_TEST_S3_ENDPOINT names, instead of ones of the site's own, with its keys."""
    endpoint = os.environ.get("DRKIT_TEST_S3_ENDPOINT")
    if not endpoint:
        return None
    lines = Path(os.environ["DRKIT_TEST_S3_CREDENTIALS_FILE"]).read_text().splitlines()
    keys = dict(line.partition("=")[::2] for line in lines if "=" in line)
    return endpoint, keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]


def make(storage: Storage, *, versioned: bool = False, lockable: bool = False) -> Storage:
    """Make the bucket, which must not be there; one whose objects can be locked keeps versions too."""
    s3 = client(storage)
    s3.create_bucket(Bucket=storage.bucket, **({"ObjectLockEnabledForBucket": True} if lockable else {}))
    if versioned or lockable:
        s3.put_bucket_versioning(Bucket=storage.bucket, VersioningConfiguration={"Status": "Enabled"})
    return storage


def write_credentials(storage: Storage, path: Path) -> Path:
    """A file as drkit's `credentials_file` wants it, for its owner alone."""
    path.touch(mode=0o600)
    path.write_text("".join(f"{key}={value}\n" for key, value in storage.credentials.items()))
    return path


def names(storage: Storage, below: str = "") -> dict[str, int]:
    """What stands in the place now: name below its prefix -> size in bytes."""
    pages = (
        client(storage)
        .get_paginator("list_objects_v2")
        .paginate(Bucket=storage.bucket, Prefix=storage.key(below))
    )
    start = len(storage.key(""))
    return {each["Key"][start:]: each["Size"] for page in pages for each in page.get("Contents", ())}


def versions(storage: Storage) -> list[tuple[str, str, bool]]:
    """Every version and delete marker in the bucket: key, version, whether it is a marker."""
    pages = client(storage).get_paginator("list_object_versions").paginate(Bucket=storage.bucket)
    return [
        (each["Key"], each["VersionId"], kind == "DeleteMarkers")
        for page in pages
        for kind in ("Versions", "DeleteMarkers")
        for each in page.get(kind, ())
    ]


def uploads(storage: Storage) -> list[str]:
    """The keys of multipart uploads that nobody has completed."""
    answer = client(storage).list_multipart_uploads(Bucket=storage.bucket)
    return [each["Key"] for each in answer.get("Uploads", ())]


def get(storage: Storage, name: str) -> bytes:
    """The bytes of an object."""
    found: bytes = client(storage).get_object(Bucket=storage.bucket, Key=storage.key(name))["Body"].read()
    return found


def put(storage: Storage, name: str, content: bytes) -> None:
    """Write an object, or write it anew."""
    client(storage).put_object(Bucket=storage.bucket, Key=storage.key(name), Body=content)


def remove(storage: Storage, *gone: str) -> None:
    """Delete objects, as anybody does who may: where versions are kept, they stay."""
    _delete(storage, [{"Key": storage.key(name)} for name in gone])


def empty(storage: Storage) -> None:
    """Delete all that stands below the prefix, with all its versions."""
    top = storage.key("")
    _delete(
        storage,
        [{"Key": key, "VersionId": version} for key, version, _ in versions(storage) if key.startswith(top)],
    )


def unmake(storage: Storage) -> None:
    """Delete the bucket with all that is in it, as far as no lock keeps it."""
    s3 = client(storage)
    objects = [{"Key": key, "VersionId": version} for key, version, _ in versions(storage)]
    for start in range(0, len(objects), _AT_ONCE):
        s3.delete_objects(
            Bucket=storage.bucket,
            Delete={"Objects": objects[start : start + _AT_ONCE], "Quiet": True},
            BypassGovernanceRetention=True,
        )
    s3.delete_bucket(Bucket=storage.bucket)


def contents(storage: Storage, below: str = "") -> dict[str, str]:
    """What stands in the place: name -> SHA-256 of its bytes, in hex. Uploads in flight are left out."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in _read_all(storage, below)}


def download(storage: Storage, directory: Path) -> Path:
    """Write all that stands in the place below a directory, as a registry would have it there; returns it."""
    for name, data in _read_all(storage, ""):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def _read_all(storage: Storage, below: str) -> Iterator[tuple[str, bytes]]:
    s3 = client(storage)
    for name in names(storage, below):
        if "_uploads" not in Path(name).parts:
            yield name, s3.get_object(Bucket=storage.bucket, Key=storage.key(name))["Body"].read()


def _delete(storage: Storage, objects: list[Mapping[str, str]] | list[dict[str, str]]) -> None:
    s3 = client(storage)
    for start in range(0, len(objects), _AT_ONCE):
        answer = s3.delete_objects(
            Bucket=storage.bucket, Delete={"Objects": objects[start : start + _AT_ONCE], "Quiet": True}
        )
        if answer.get("Errors"):
            raise RuntimeError(f"{storage.where} keeps {answer['Errors'][0]}")
