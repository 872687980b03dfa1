"""A repository in a bucket: what restic's address of it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from drkit.tools.s3.bucket import Access

_ADDRESS = re.compile(r"s3:(?://)?(https?://)?([^/]+)/([^/]+)/?(.*)")


class Place(NamedTuple):
    """Where a repository is: how its bucket is reached, and what the keys begin with."""

    access: Access
    prefix: str


def place(url: str, credentials: Mapping[str, str]) -> Place | None:
    """What restic's address of a repository in a bucket means: pure; None for what is none."""
    found = _ADDRESS.fullmatch(url)
    if found is None:
        return None
    scheme, host, bucket, prefix = found.groups()
    ca_file = credentials.get("RESTIC_CACERT")
    access = Access(
        bucket,
        f"{scheme or 'https://'}{host}",
        credentials.get("AWS_DEFAULT_REGION"),
        credentials if credentials.get("AWS_ACCESS_KEY_ID") else {},
        credentials.get("AWS_PROFILE"),
        Path(ca_file) if ca_file else None,
        attempts=3,
    )
    return Place(access, f"{prefix.strip('/')}/" if prefix.strip("/") else "")
