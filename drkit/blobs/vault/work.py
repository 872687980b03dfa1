"""A backup's presence in the vault, from its first look there until its point is sealed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from drkit import config
from drkit.blobs import inventory
from drkit.blobs.ends import place_of_blobs, place_of_vault
from drkit.blobs.opening import open_bucket
from drkit.blobs.vault import leases, repositories, separate, verifying
from drkit.blobs.vault.leases import HeldLease
from drkit.blobs.vault.repositories import Recorded, Reliant
from drkit.errors import DrkitError, ToolFailed
from drkit.model import utc_now
from drkit.state.directory import State, new_id

log = logging.getLogger(__name__)

# The configured repositories, the primary first; it is told what the vault has recorded already.
Reliants = Callable[[Sequence[Recorded]], Sequence[Reliant]]


class VaultWork:
    """The lease of one backup in its site's vault, written when it is first needed; a context manager.

    When all went well it removes what killed runs left there: `swept` says how many things.
    """

    def __init__(self, settings: config.Config, reliants: Reliants) -> None:
        self.swept = 0
        self._settings = settings
        self._reliants = reliants
        self._lease: HeldLease | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> VaultWork:
        return self

    def begin(self) -> None:
        """Be seen in the vault, and wait until no expire works there; once is enough.

        Raises NotOurs for another repository's vault, ConfigError for one that is the registry's own bucket,
        SiteLocked where an expire does not end, the bucket's errors.
        """
        settings = self._settings
        if self._lease is not None or settings.vault is None:
            return
        place = place_of_vault(settings.vault)
        vault = self._stack.enter_context(open_bucket(settings.vault))
        known = repositories.recorded(vault, place)
        ours, shared = self._reliants(known), settings.vault.shared
        repositories.refuse_foreign(known, ours, place, shared=shared)
        machine = State(settings.site.state).machine
        held = leases.held(vault, place, new_id(utc_now()), "backup", machine)
        lease = self._stack.enter_context(held)
        refuse_production(settings, lease)
        repositories.record(vault, place, ours, shared=shared, known=known)
        leases.wait_for(lease, lambda other: other.work == "expire", settings.site.lock_wait)
        self._lease = lease

    def check(self) -> None:
        """Raise ToolFailed if an expire may have passed the lease over, so that nothing may be sealed."""
        if self._lease is not None:
            self._lease.check()

    def look_again(self, directory: Path) -> None:
        """Raise ToolFailed unless every blob of the inventory in a run's directory is still in the vault.

        To be called just before the point is sealed: a run that does not see the lease may have removed some.
        """
        if self._lease is None:
            return
        found = inventory.from_file(directory / inventory.FILE_NAME)
        gone = verifying.missing(self._lease.vault, self._lease.place, found)
        if gone:
            raise ToolFailed(
                f"{len(gone)} blobs that this point needs have gone from the vault meanwhile: {gone[0]}",
                hint="see who else removes objects there: no two machines may share a state directory, or"
                " a copy of one; then run the backup again",
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            # What a backup that failed has begun, the next one goes on with.
            if self._lease is not None and error is None:
                self._sweep(self._lease)

    def _sweep(self, lease: HeldLease) -> None:
        try:
            self.swept = leases.sweep(lease)
        except DrkitError as error:
            # The point is what counts; the next backup tries again.
            log.warning("cannot remove what a killed run left in the vault: %s", error.message)


def refuse_production(settings: config.Config, lease: HeldLease) -> None:
    """Raise ConfigError where the vault is the registry's own bucket, which then shows the lease."""
    if not isinstance(settings.blobs, config.BucketBlobs):
        return
    with open_bucket(settings.blobs) as source:
        place = place_of_blobs(settings.blobs)
        separate.refuse_same(source, place, lease.vault, lease.place, (lease.key, lease.nonce))
