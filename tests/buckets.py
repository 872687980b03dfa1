"""Buckets of a test's own: of moto's server, or of any other that DRKIT_TEST_S3_ENDPOINT names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from drkit.tools.credentials import read_credentials
from drkit.tools.s3.bucket import Access
from testenv import s3_server

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Service:
    """An S3 service to test against; `credentials` may do everything there."""

    endpoint: str
    credentials: Mapping[str, str]
    region: str = s3_server.REGION

    def access(self, bucket: str) -> Access:
        """How drkit reaches a bucket of it; failures are not waited for long."""
        return Access(bucket, self.endpoint, self.region, self.credentials, attempts=4, longest_pause=0.05)

    def api(self) -> Any:
        """boto3's client, for what drkit itself never does."""
        return _api(self.endpoint, self.region, tuple(self.credentials.items()))

    def bucket(self, *, versions: bool = False, locks: bool = False) -> Access:
        """A new, empty bucket."""
        name = f"drkit-test-{os.getpid()}-{next(_numbers)}"
        api = self.api()
        api.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
        if versions and not locks:
            api.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return self.access(name)

    def behind(self, endpoint: str) -> Service:
        """The same service, reached through something in between."""
        return replace(self, endpoint=endpoint)


@cache
def _api(endpoint: str, region: str, credentials: tuple[tuple[str, str], ...]) -> Any:
    keys = dict(credentials)
    return boto3.session.Session(
        keys["AWS_ACCESS_KEY_ID"],
        keys["AWS_SECRET_ACCESS_KEY"],
        keys.get("AWS_SESSION_TOKEN"),
        region_name=region,
    ).client("s3", endpoint_url=endpoint)


@contextmanager
def service(directory: Path) -> Iterator[Service]:
    """The service that the environment names, or one of our own for as long as this lasts.

    DRKIT_TEST_S3_CREDENTIALS_FILE holds KEY=value lines for the one that the environment names.
    """
    endpoint = os.environ.get("DRKIT_TEST_S3_ENDPOINT")
    if endpoint:
        yield Service(endpoint, read_credentials(Path(os.environ["DRKIT_TEST_S3_CREDENTIALS_FILE"])))
        return
    server = s3_server.start(directory)
    try:
        yield Service(server.endpoint, s3_server.CREDENTIALS)
    finally:
        s3_server.stop(directory)
