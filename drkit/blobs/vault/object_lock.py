"""Until when the vault's blobs are locked: for at least as long as retention may keep the point.

A lock lasts a slack longer than it has to, so that a night with nothing new sends no request at all: each
blob is locked anew only when what is left of its lock is too short.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from drkit import config
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.lock_horizon import lock_horizon
from drkit.tools.s3.bucket import Bucket, Lock, LockMode

_LEAST_SLACK = timedelta(days=7)
_FOR_EVER = timedelta(days=90)


@dataclass(frozen=True)
class Locking:
    """How a vault protects what is in it: whether it keeps versions, and how blobs are locked in this run.

    A lock must last until `needed_until`; one that does not is made to last until `until`. Both are None
    where nothing is locked. `suspended`: it keeps no versions any more, but may have some of before.
    """

    versioned: bool
    needed_until: datetime | None = None
    until: datetime | None = None
    mode: LockMode = "governance"
    suspended: bool = False

    @property
    def has_versions(self) -> bool:
        """Whether the vault is to be listed by version."""
        return self.versioned or self.suspended

    @property
    def at_once(self) -> Lock | None:
        """The lock that a blob gets as it is put."""
        return None if self.until is None else Lock(self.until, self.mode)

    def extend(self, vault: Bucket, entry: Entry) -> Entry:
        """Lock a blob that is there already; raises ToolFailed where the service does not."""
        assert self.until is not None
        vault.lock(entry.key, entry.version, self.until, self.mode)
        return entry._replace(locked_until=self.until)


def locking_of(vault: Bucket, settings: config.Config, now: datetime) -> Locking:
    """How this site's vault protects what is put there from now on; raises the bucket's errors."""
    assert settings.vault is not None
    versioned = vault.versioning()
    if settings.vault.lock == "none" or not vault.object_lock():
        return Locking(versioned, suspended=not versioned and vault.has_versions())
    needed, until = times(now, horizon_of(settings, now))
    return Locking(versioned, needed, until, settings.vault.lock)


def horizon_of(settings: config.Config, now: datetime) -> timedelta:
    """How long what a point of now needs has to be locked: as long as retention may keep it, or `lock_for`.

    Where retention keeps points for ever, no lock can last as long: it is `lock_for`, or 90 days, which every
    later point that needs the blob extends.
    """
    assert settings.vault is not None
    least = settings.vault.lock_for
    kept = timedelta(0)
    for repository in settings.repositories:
        rules = settings.retention_of(repository)
        longest = lock_horizon(rules, settings.schedule, now.astimezone())
        if longest is None:
            return least or _FOR_EVER
        kept = max(kept, longest)
    return max(kept, least or kept)


def times(now: datetime, horizon: timedelta) -> tuple[datetime, datetime]:
    """Until when a lock must last that is needed for `horizon` from now on, and until when to set it."""
    now = now.replace(microsecond=0)
    slack = max(horizon / 5, _LEAST_SLACK)
    return now + horizon, now + horizon + slack
