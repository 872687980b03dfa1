"""`[cluster]`: workers of Dask's that big work is spread over."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator

from drkit.config.fields import AbsolutePath, Duration, cluster_address
from drkit.config.section import Section


class Cluster(Section):
    """`[cluster]`: Dask's scheduler, and the TLS files that prove who this machine is.

    `blobs_path` is what workers call the directory of [blobs]. With `credentials` as `files` they open
    buckets with the files that the sections of the buckets name, each with its own at that path; as `machine`
    with what their machine gives them. `worker_wait` is how long to wait where there is no worker,
    `slow_after` after what time a unit that takes much longer than others is given to a second worker.
    """

    scheduler: Annotated[str, AfterValidator(cluster_address)] | None = None
    ca_file: AbsolutePath | None = None
    cert_file: AbsolutePath | None = None
    key_file: AbsolutePath | None = None
    blobs_path: AbsolutePath | None = None
    credentials: Literal["files", "machine"] = "files"
    worker_wait: Duration = timedelta(minutes=1)
    slow_after: Duration = timedelta(minutes=1)
