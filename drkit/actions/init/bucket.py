"""What `init` finds out of a registry in a bucket, and of the vault that shall keep its blobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from drkit import config
from drkit.blobs.ends import below, place_of_blobs, place_of_vault
from drkit.blobs.opening import impatient
from drkit.errors import ConfigError, UsageError
from drkit.registry import storage
from drkit.registry.bucket_parameters import RegistryBucket
from drkit.tools.s3.bucket import Bucket

_EXAMPLES = "s3://bucket/prefix at Amazon, else https://host/bucket/prefix"


S = TypeVar("S", bound=config.S3)


def blobs(
    source: RegistryBucket, vault: config.Vault, credentials_file: Path | None, said: str
) -> config.BucketBlobs:
    """The section `[blobs]` for a bucket; `said` is where it is named, for errors.

    Raises ConfigError, UsageError where the vault would be that very bucket.
    """
    if (source.bucket, source.endpoint) == (vault.bucket, vault.endpoint):
        raise UsageError(
            f"the vault would be the bucket that it protects, {source.bucket}",
            hint="name another bucket with --vault, best in another account, region or at another provider",
        )
    return _section(
        config.BucketBlobs,
        said,
        kind="s3",
        bucket=source.bucket,
        root=source.root,
        endpoint=source.endpoint,
        region=source.region,
        credentials_file=credentials_file,
        ca_file=source.ca_file,
        addressing=source.addressing,
    )


def vault(address: str | None, credentials: Path | None, region: str | None) -> config.Vault:
    """The section `[vault]` for an address such as `https://host/bucket/prefix`; raises UsageError."""
    if address is None:
        raise UsageError(
            "the images are in a bucket: name the bucket that is to keep them",
            hint=f"--vault {_EXAMPLES}; --vault-credentials FILE holds its keys as KEY=value lines",
        )
    endpoint, bucket, prefix = parse_address(address)
    if credentials is not None and not credentials.exists():
        raise ConfigError(f"there is no {credentials.absolute()}", hint="see --vault-credentials")
    return _section(
        config.Vault,
        "--vault",
        bucket=bucket,
        prefix=prefix,
        endpoint=endpoint,
        region=region,
        credentials_file=credentials.absolute() if credentials else None,
        addressing="path" if endpoint else "auto",
    )


def plain_bucket(address: str) -> RegistryBucket:
    """The bucket of a registry that is no Harbor; raises UsageError for what is no address of one."""
    endpoint, bucket, root = parse_address(address)
    return RegistryBucket(bucket, root, endpoint, addressing="path" if endpoint else "auto")


def look(source: config.BucketBlobs, credentials: Mapping[str, str], kept: config.Vault) -> Iterator[str]:
    """Ask both buckets once, so that what is written is known to work; warnings.

    Raises BucketMissing, BucketRefused, ConfigError for the file of credentials, else ToolFailed.
    """
    if credentials:
        # What will be the file with them is not written yet.
        unwritten = source.model_copy(update={"credentials_file": None})
        reached = replace(impatient(unwritten), credentials=credentials)
    else:
        reached = impatient(source)
    with Bucket(reached) as registrys:
        place = place_of_blobs(source)
        if registrys.first(f"{below(place)}{storage.BLOBS}/") is None:
            yield f"no registry is in {place.where} yet, or its rootdirectory is another one"
    with Bucket(impatient(kept)) as vaults:
        vaults.first(f"{below(place_of_vault(kept))}{storage.BLOBS}/")


def parse_address(address: str) -> tuple[str | None, str, str]:
    """Endpoint (None: Amazon's), bucket and prefix of `s3://...` or `https://...`; raises UsageError."""
    parts = urlsplit(address)
    if parts.scheme == "s3" and re.fullmatch(r"[^@:?#]+", parts.netloc):
        return None, parts.netloc, parts.path.strip("/")
    bucket, _, prefix = parts.path.strip("/").partition("/")
    plain = "@" not in parts.netloc and not parts.query and not parts.fragment
    if parts.scheme in ("http", "https") and parts.netloc and bucket and plain:
        return f"{parts.scheme}://{parts.netloc}", bucket, prefix
    raise UsageError(f'"{address}" names no bucket', hint=f"it looks like {_EXAMPLES}")


def unknown(storage: str) -> str:
    """What to say of a storage that drkit has no way into."""
    said = (
        f"the images are in {storage}, which this version of drkit does not back up: "
        "the configuration protects database and secrets alone"
    )
    if storage == "gcs":
        said += (
            '; Google\'s storage speaks S3 too: with an HMAC key, write [blobs] with kind = "s3" and'
            ' endpoint = "https://storage.googleapis.com" by hand'
        )
    return said


def _section(section: type[S], source: str, **keys: Any) -> S:
    """The section with these keys; raises ConfigError for one that cannot be."""
    try:
        return section(**keys)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        hint = str(first.get("ctx", {}).get("error", "")) or first["msg"]
        raise ConfigError(f"{source}: {first['loc'][0]} is wrong", hint=hint) from None
