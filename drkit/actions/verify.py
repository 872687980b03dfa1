"""`drkit verify`: the repository's own integrity."""

from __future__ import annotations

import time
from dataclasses import dataclass

from drkit import config
from drkit.catalog import open_catalog
from drkit.errors import UsageError
from drkit.tools import restic, restic_output


@dataclass(frozen=True)
class VerifyResult:
    """A repository whose structure, and as much of its data as was asked for, is sound."""

    repository: str
    read_data_subset: str | None
    seconds: float


def verify(settings: config.Config, repository: str | None, read_data_subset: str | None) -> VerifyResult:
    """Let restic check itself; raises ToolFailed if anything is damaged.

    Without a subset only the structure is looked at: a damaged pack of data goes unseen.
    """
    if read_data_subset is not None and not restic_output.is_subset(read_data_subset):
        raise UsageError(
            f'"{read_data_subset}" is no part of the data',
            hint="for example 5%, 1/7 or 2G; 100% reads everything",
        )
    started = time.monotonic()
    restic.require(restic.version())
    open_catalog(settings, repository).repository.check(read_data_subset)
    took = round(time.monotonic() - started, 3)
    return VerifyResult(settings.repository(repository).name, read_data_subset, took)
