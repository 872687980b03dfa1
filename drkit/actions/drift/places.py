"""Comparing the places that harbor.yml names with those of the configuration; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from pathlib import Path
from urllib.parse import urlsplit

from drkit import config
from drkit.harbor.installation import HarborDatabase, Installation
from drkit.model import BucketPlace, Drift
from drkit.registry.bucket_parameters import RegistryBucket

# Host -> its addresses, all of this machine's as one.
Resolve = Callable[[str], Set[str]]
SameDirectory = Callable[[Path, Path], bool]

_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
# Drivers that have a bucket too, and the key that names it: some services speak S3 beside their own protocol.
_BUCKETS = {"gcs": "bucket", "oss": "bucket", "azure": "container", "swift": "container"}


def is_at(named: HarborDatabase, settings: Mapping[str, str], resolve: Resolve) -> bool:
    """Whether libpq settings plainly lead to that host, port and database."""
    if (settings.get("dbname") or settings.get("user")) != named.name:
        return False
    hosts = (settings.get("hostaddr") or settings.get("host") or "").split(",")
    ports = (settings.get("port") or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return any(
        (port or "5432") == str(named.port) and _same_host(named.host, host, resolve)
        for host, port in zip(hosts, ports, strict=False)
    )


def _same_host(one: str, other: str, resolve: Resolve) -> bool:
    if one.lower() == other.lower():
        return True
    if one.startswith("/") and other.startswith("/"):
        # Two sockets are two servers, whatever their ports.
        return False
    return not resolve(one).isdisjoint(resolve(other))


def no_database(named: HarborDatabase, why: str) -> Drift:
    """harbor.yml's database is none of the configuration's; `why` nobody can ask it, if so."""
    place = f"{named.host}:{named.port}/{named.name}"
    unsure = f" (whether it is the same by another address cannot be found out: {why})" if why else ""
    return Drift(
        f"database:{place}",
        f"harbor.yml names the database {named.name} at {named.host}:{named.port}, to which no [[database]]"
        f" leads{unsure}",
        f"correct [[database]]; if it is the same one, or needs no backup, {_dropped('database', place)}",
    )


def no_own_database() -> Drift:
    """Harbor runs its own PostgreSQL, and the configuration has no database at all."""
    place = "harbor-db/registry"
    return Drift(
        f"database:{place}",
        "according to harbor.yml Harbor runs its own database, and there is no [[database]]",
        'add a [[database]] with container = "harbor-db"; if that is intended, '
        f"{_dropped('database', place)}",
    )


def images(
    installation: Installation,
    bucket: RegistryBucket | None,
    blobs: config.DirectoryBlobs | config.BucketBlobs | None,
    same_directory: SameDirectory,
    resolve: Resolve,
) -> Drift | None:
    """Whether [blobs] is where harbor.yml has the images; `bucket` is that of storage_service.s3."""
    if installation.storage == "filesystem":
        directory = installation.root_directory
        if isinstance(blobs, config.DirectoryBlobs) and same_directory(directory, blobs.path):
            return None
        return _no_images(str(directory), blobs)
    if bucket is None:
        return _of_other_driver(installation, blobs)
    if isinstance(blobs, config.BucketBlobs) and _same_bucket(bucket, blobs, resolve):
        return None
    return _no_images(BucketPlace(bucket.bucket, bucket.root, bucket.endpoint).where, blobs)


def _same_bucket(bucket: RegistryBucket, blobs: config.BucketBlobs, resolve: Resolve) -> bool:
    if (bucket.bucket, bucket.root) != (blobs.bucket, blobs.root.strip("/")):
        return False
    one, other = _service(bucket.endpoint), _service(blobs.endpoint)
    if one is None or other is None:
        return one is other
    return one[1] == other[1] and _same_host(one[0], other[0], resolve)


def _service(endpoint: str | None) -> tuple[str, int] | None:
    """Host and port; None for Amazon's."""
    if endpoint is None:
        return None
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if host.endswith(_AMAZON):
        return None
    return host, parts.port or (80 if parts.scheme == "http" else 443)


def _of_other_driver(
    installation: Installation, blobs: config.DirectoryBlobs | config.BucketBlobs | None
) -> Drift | None:
    """Of a storage that drkit reaches by its S3 interface at most; without [blobs] that is said elsewhere."""
    section = installation.service.get(installation.storage)
    key = _BUCKETS.get(installation.storage, "")
    name = str(section.get(key) or "") if isinstance(section, dict) else ""
    if blobs is None or not name or (isinstance(blobs, config.BucketBlobs) and blobs.bucket == name):
        return None
    return _no_images(f"{installation.storage}://{name}", blobs)


def _no_images(place: str, blobs: config.DirectoryBlobs | config.BucketBlobs | None) -> Drift:
    instead = f"and [blobs] is {_where(blobs)}" if blobs else "and there is no [blobs]"
    return Drift(
        f"blobs:{place}",
        f"according to harbor.yml the images are in {place}, {instead}",
        f"correct [blobs]; if it is the same place, or needs no backup, {_dropped('blobs', place)}",
    )


def _where(blobs: config.DirectoryBlobs | config.BucketBlobs) -> str:
    if isinstance(blobs, config.BucketBlobs):
        return BucketPlace(blobs.bucket, blobs.root, blobs.endpoint).where
    return blobs.where


def no_file(path: Path, purpose: str, *, there: bool) -> Drift:
    """A file or directory that harbor.yml names and that is not among the secrets."""
    fault, remedy = "not among the secrets", "add it to paths in [secrets]"
    if not there:
        fault = "not there"
        remedy = "put it there and add it to paths in [secrets], or take it out of harbor.yml"
    said = f"harbor.yml names {path} ({purpose}), which is {fault}"
    hint = f"{remedy}; if that is intended, {_dropped('secrets', str(path))}"
    return Drift(f"secrets:{path}", said, hint)


def _dropped(kind: str, place: str) -> str:
    return f'dropped = ["{kind}:{place}"] in [site]'
