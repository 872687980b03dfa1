"""Leases in a vault: who works in it at this moment.

<prefix>/drkit/leases/<run>.json     work that is under way, written anew every minute

A backup must not lose blobs that it has just found in the vault, nor a restore or drill what it is about to
read. So each writes its lease first and looks then: of two that begin at once at least one sees the other.
expire gives way to everybody, a backup waits for expire. How old a lease is, the service's own clock says, by
the lease that was written last. A lease whose process is certainly dead counts for nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from drkit import tidying
from drkit.blobs.ends import below, drkits_own
from drkit.errors import DrkitError, Interrupted, NotDeleted, ObjectMissing, SiteLocked, ToolFailed
from drkit.model import BucketPlace
from drkit.registry import storage
from drkit.tools.process import own, stopping
from drkit.tools.process.own import ProcessName
from drkit.tools.s3.bucket import Bucket, Upload

log = logging.getLogger(__name__)

Work = Literal["backup", "copy", "expire", "restore", "serve", "drill"]
STALE = timedelta(minutes=30)
_MINUTES = int(STALE.total_seconds() / 60)
_EVERY = timedelta(minutes=1)
_LOOK_AGAIN = timedelta(seconds=5)
_UNKNOWN = ProcessName("an unknown host", "", 0, 0)


@dataclass(frozen=True)
class Lease:
    """Work that is or was under way; `refreshed` by the service's clock, `machine` as State has it."""

    key: str
    run: str
    work: str
    machine: str
    process: ProcessName
    refreshed: datetime


@dataclass
class HeldLease:
    """A lease of our own, kept fresh by a thread; `nonce` is in it and nowhere else."""

    vault: Bucket
    place: BucketPlace
    run: str
    work: Work
    machine: str
    every: timedelta = _EVERY
    # So old another's counts for nothing, and neither does this one.
    stale: timedelta = STALE
    process: ProcessName = field(default_factory=own.own)
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    # When it was seen first, by the service's clock.
    began: datetime | None = None
    _version: str | None = None
    _written: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> str:
        """Where the lease stands."""
        return f"{drkits_own(self.place)}leases/{self.run}.json"

    def write(self) -> None:
        """Write the lease, and remove its version before; raises the bucket's errors."""
        content = {
            "run": self.run,
            "work": self.work,
            "machine": self.machine,
            "process": asdict(self.process),
            "nonce": self.nonce,
        }
        began, old = time.monotonic(), self._version
        self._version = self.vault.put(self.key, json.dumps(content).encode())
        self._written = began
        if old is not None:
            self._remove(old)

    def others(self) -> tuple[Lease, ...]:
        """The leases of others that work, by the age that they have against ours."""
        found = {lease.key: lease for lease in leases(self.vault, self.place)}
        ours = found.pop(self.key, None)
        if ours is None:
            raise ToolFailed(
                f"somebody has removed this run's lease from the vault: {self.key}",
                hint="see who else deletes in the vault, and run it again",
            )
        self.began = self.began or ours.refreshed
        return tuple(
            lease
            for lease in found.values()
            if not self._is_dead(lease) and ours.refreshed - lease.refreshed < self.stale
        )

    def _is_dead(self, lease: Lease) -> bool:
        """Only of this state directory's own work: in a copy of it on another machine somebody may work."""
        return lease.machine == self.machine and lease.process.dead

    def check(self) -> None:
        """Raise ToolFailed if the lease may count as stale: nothing that relied on it counts any more."""
        if time.monotonic() - self._written > self.stale.total_seconds() * 0.8:
            raise ToolFailed(
                f"the lease of this run in the vault {self.place.where} could not be kept fresh",
                hint="an expire may have removed what it needed; run it again when the vault can be reached",
            )

    def refresh(self) -> None:
        """Write it again and again, until told to stop."""
        while not self._over.wait(self.every.total_seconds()):
            try:
                self.write()
            except Interrupted:
                return
            except DrkitError as error:
                log.warning("cannot refresh the lease in the vault: %s", error.message)

    def stop(self) -> None:
        """Write it no more."""
        self._over.set()

    def end(self) -> None:
        """Remove the lease; what cannot be removed becomes stale."""
        try:
            self._remove(self._version)
        except DrkitError as error:
            log.warning("cannot remove the lease from the vault: %s", error.message)

    def _remove(self, version: str | None) -> None:
        # A bucket that locks everything by itself keeps it; a lease is small.
        with contextlib.suppress(NotDeleted):
            self.vault.delete([(self.key, version)], tidying=True)


def leases(vault: Bucket, place: BucketPlace) -> Iterator[Lease]:
    """All leases, fresh or not."""
    for found in vault.listed(f"{drkits_own(place)}leases/"):
        try:
            content = json.loads(vault.read_small(found.key))
            run, work, machine = (str(content[name]) for name in ("run", "work", "machine"))
            process = ProcessName(**content["process"])
        except ObjectMissing:
            continue
        except (ValueError, KeyError, TypeError):
            # Whatever it is, somebody works here.
            run, work, machine, process = found.key, "something", "", _UNKNOWN
        yield Lease(found.key, run, work, machine, process, datetime.fromisoformat(found.modified))


@contextlib.contextmanager
def held(
    vault: Bucket,
    place: BucketPlace,
    run: str,
    work: Work,
    machine: str,
    *,
    every: timedelta = _EVERY,
    stale: timedelta = STALE,
) -> Iterator[HeldLease]:
    """Have a lease in the vault while this lasts."""
    lease = HeldLease(vault, place, run, work, machine, every, stale)
    lease.write()
    thread = threading.Thread(target=lease.refresh, name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        with tidying.undisturbed():
            lease.stop()
            # A lease that is written after it was removed would stay.
            thread.join()
            lease.end()


@contextlib.contextmanager
def reading(vault: Bucket, place: BucketPlace, run: str, work: Work, machine: str) -> Iterator[None]:
    """Have a lease while blobs are read, where that is allowed: a vault that is read-only is read as well."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held(vault, place, run, work, machine))
        except ToolFailed as error:
            log.warning(
                "an expire elsewhere does not see this %s, for no lease can be written: %s",
                work,
                error.message,
            )
        yield


def wait_for(
    lease: HeldLease,
    in_the_way: Callable[[Lease], bool],
    wait: timedelta,
    look_again: timedelta = _LOOK_AGAIN,
) -> None:
    """Wait until nothing of that kind works in the vault; raises SiteLocked after `wait`."""
    deadline = time.monotonic() + wait.total_seconds()
    while waiting := [other for other in lease.others() if in_the_way(other)]:
        other = waiting[0]
        if time.monotonic() > deadline:
            raise SiteLocked(
                f"{other.work} (run {other.run} on {other.process.host}) works in the vault"
                f" {lease.place.where}",
                hint=f"wait until it has ended; the lease of a dead run ends after {_MINUTES} minutes",
            )
        log.info("waiting for %s on %s, which works in the vault", other.work, other.process.host)
        time.sleep(min(look_again.total_seconds(), max(0.0, deadline - time.monotonic()) + 0.01))
        stopping.stop_if_asked()


def sweep(lease: HeldLease) -> int:
    """Remove what killed runs left: stale leases, and uploads that nobody goes on with; returns how many.

    For the end of a backup, when it has taken up what it can use. Only uploads of blobs that were begun
    before this run: what else goes into the bucket is not drkit's. Where another run works, its uploads
    cannot be told from those of the dead, and stay.
    """
    fresh = {other.key for other in lease.others()}
    assert lease.began is not None
    every = list(leases(lease.vault, lease.place))
    stale = [found.key for found in every if found.key not in fresh | {lease.key}]
    with contextlib.suppress(NotDeleted):
        if stale:
            lease.vault.delete([(key, None) for key in stale])
    if fresh:
        return len(stale)
    prefix = f"{below(lease.place)}{storage.BLOBS}/sha256/"
    left = list(abandoned(lease.vault.unfinished(prefix), prefix, lease.began))
    for upload in left:
        lease.vault.abort(upload)
    return len(stale) + len(left)


def abandoned(uploads: Iterable[Upload], top: str, began: datetime) -> Iterator[Upload]:
    """The uploads of blobs directly below `top` that were begun before a run: pure."""
    return (each for each in uploads if storage.is_blob_below(top, each.key) and each.started <= began)
