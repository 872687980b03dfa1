"""What `--cluster` may be asked for: a command that would spread nothing says so."""

from __future__ import annotations

from pathlib import Path

from drkit import config
from drkit.errors import ConfigError, UsageError


def refuse_alone(cluster: str | None, what: str, *, bucket: bool) -> None:
    """Raise UsageError where a cluster was named and the blobs do not come from a bucket."""
    if cluster not in (None, "local") and not bucket:
        raise UsageError(
            f"{what} reads no bucket, and nothing else of it is done by a cluster",
            hint="leave --cluster out; see docs/cluster.md",
        )


def refuse_unseen(settings: config.Config, cluster: str | None, directory: Path) -> None:
    """Raise ConfigError where a cluster was named and its workers do not see the directory to be filled."""
    if cluster not in (None, "local") and settings.cluster.writing_to(directory).scheduler is None:
        raise ConfigError(
            f"the workers of the cluster do not see {directory}: it is in none of the directories of shared",
            hint="name in shared of [cluster] a directory that this machine and all workers mount, or leave"
            " --cluster out",
        )
