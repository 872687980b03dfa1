"""`[cluster]`: workers of Dask's that big work is spread over."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from drkit.config.fields import AbsolutePath, Duration, cluster_address
from drkit.config.section import Section


class Cluster(Section):
    """`[cluster]`: Dask's scheduler, and the TLS files that prove who this machine is.

    `blobs_path` is what workers call the directory of [blobs]. Below the directories in `shared`, which all
    of them mount under the same path, they write what a restore or a drill brings from the vault. With
    `credentials` as `files` they open buckets with the files that the sections of the buckets name, each with
    its own at that path; as `machine` with what their machine gives them. `worker_wait` is how long to wait
    where there is no worker, `slow_after` after what time a unit that takes much longer than others is given
    to a second worker.
    """

    scheduler: Annotated[str, AfterValidator(cluster_address)] | None = None
    ca_file: AbsolutePath | None = None
    cert_file: AbsolutePath | None = None
    key_file: AbsolutePath | None = None
    blobs_path: AbsolutePath | None = None
    shared: tuple[AbsolutePath, ...] = ()
    credentials: Literal["files", "machine"] = "files"
    worker_wait: Duration = timedelta(minutes=1)
    slow_after: Duration = timedelta(minutes=1)

    def writing_to(self, directory: Path) -> Cluster:
        """The same where workers may write to that directory, else without a scheduler."""
        path = directory.resolve()
        if any(path.is_relative_to(each.resolve()) for each in self.shared):
            return self
        return self.model_copy(update={"scheduler": None})
