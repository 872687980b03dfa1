"""The configuration's buckets, opened."""

from __future__ import annotations

from dataclasses import replace

from drkit import config
from drkit.errors import ConfigError
from drkit.tools.credentials import read_credentials
from drkit.tools.s3.bucket import Access, Bucket

_NEEDED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def access(settings: config.S3) -> Access:
    """How a bucket is reached; raises ConfigError for a credentials file that cannot be used."""
    credentials = read_credentials(settings.credentials_file)
    missing = [name for name in _NEEDED if settings.credentials_file and not credentials.get(name)]
    if missing:
        raise ConfigError(
            f"{settings.credentials_file} has no {' and no '.join(missing)}",
            hint="it holds lines such as AWS_ACCESS_KEY_ID=...; see credentials_file",
        )
    return Access(
        bucket=settings.bucket,
        endpoint=settings.endpoint,
        region=settings.region,
        credentials=credentials,
        credentials_file=settings.credentials_file,
        profile=settings.profile,
        ca_file=settings.ca_file,
        addressing=settings.addressing,
        upload_limit=settings.upload_limit if isinstance(settings, config.Vault) else None,
        download_limit=settings.download_limit,
    )


def impatient(settings: config.S3) -> Access:
    """The same where a person waits: what does not answer soon is said not to."""
    return replace(access(settings), attempts=3)


def open_bucket(settings: config.S3) -> Bucket:
    """The bucket, ready to be used; nothing has been asked of it yet."""
    return Bucket(access(settings))
