"""Marks in a vault: whose it is, and who works in it at this moment.

<prefix>/drkit/site.json              the site that the vault belongs to
<prefix>/drkit/running/<run>.json     a backup or an expire that is under way, written anew every minute

A backup must not be robbed of blobs that it has just found in the vault. So each puts its mark first and
looks then: of two that begin at once at least one sees the other. expire gives way to a backup, a backup
waits for expire. How old a mark is, the service's own clock says, by the mark that was put last.
Another mark of the same machine is that of a dead run, since a machine lets one run work at a time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import platform
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from drkit.errors import DrkitError, NotDeleted, NotOurs, ObjectMissing, SiteLocked, ToolFailed
from drkit.model import BucketPlace
from drkit.sources.bucket.ends import below
from drkit.tools import stopping
from drkit.tools.s3 import Bucket

log = logging.getLogger(__name__)

Work = Literal["backup", "expire"]
STALE = timedelta(minutes=30)
_MINUTES = int(STALE.total_seconds() / 60)
_EVERY = timedelta(minutes=1)
_LOOK_AGAIN = 5.0


@dataclass(frozen=True)
class Mark:
    """Work that is or was under way; `refreshed` by the service's clock, `machine` as State has it."""

    key: str
    run: str
    work: str
    host: str
    machine: str
    refreshed: datetime


def marks_prefix(place: BucketPlace) -> str:
    """What the keys of drkit's own objects in a vault begin with."""
    return f"{below(place)}drkit/"


def claim(vault: Bucket, place: BucketPlace, site: str) -> None:
    """Make the vault this site's; raises NotOurs where it is another one's."""
    owner = owner_of(vault, place)
    if owner is None:
        vault.put(f"{marks_prefix(place)}site.json", json.dumps({"site": site}).encode())
        # Another site may have been as quick.
        owner = owner_of(vault, place)
    check_owner(owner, place, site)


def check_owner(owner: str | None, place: BucketPlace, site: str) -> None:
    """Raise NotOurs for a vault that is another site's."""
    if owner not in (None, site):
        raise NotOurs(
            f"the vault {place.where} belongs to the site {owner}, and this is {site}",
            hint="give every site a vault of its own: another bucket, or another prefix in [vault]",
        )


def owner_of(vault: Bucket, place: BucketPlace) -> str | None:
    """The site that the vault belongs to, None where it is nobody's yet."""
    try:
        return str(json.loads(vault.read_small(f"{marks_prefix(place)}site.json"))["site"])
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError):
        raise NotOurs(
            f"nobody can tell whose vault {place.where} is: its site.json cannot be read",
            hint=f'it is {{"site": "..."}} at {marks_prefix(place)}site.json',
        ) from None


@dataclass
class Held:
    """A mark of our own, kept fresh by a thread."""

    vault: Bucket
    place: BucketPlace
    run: str
    work: Work
    machine: str
    every: timedelta = _EVERY
    _version: str | None = None
    _written: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> str:
        """Where the mark stands."""
        return f"{marks_prefix(self.place)}running/{self.run}.json"

    def write(self) -> None:
        """Put the mark, and take away its version before; raises the bucket's errors."""
        content = {"run": self.run, "work": self.work, "host": platform.node(), "machine": self.machine}
        began, old = time.monotonic(), self._version
        self._version = self.vault.put(self.key, json.dumps(content).encode())
        self._written = began
        if old is not None:
            self._remove(old)

    def others(self) -> tuple[Mark, ...]:
        """The marks of others that work, by the age that they have against ours."""
        found = {mark.key: mark for mark in marks(self.vault, self.place)}
        ours = found.pop(self.key, None)
        if ours is None:
            raise ToolFailed(f"somebody has removed our mark from the vault: {self.key}")
        return tuple(
            mark
            for mark in found.values()
            if mark.machine != self.machine and ours.refreshed - mark.refreshed < STALE
        )

    def check(self) -> None:
        """Raise ToolFailed if the mark may count as stale: nothing that relied on it counts any more."""
        if time.monotonic() - self._written > STALE.total_seconds() * 0.8:
            raise ToolFailed(
                f"the mark of this run in the vault {self.place.where} could not be kept fresh",
                hint="an expire may have removed what it needed; run it again when the vault can be reached",
            )

    def refresh(self) -> None:
        """Write it again and again, until told to stop."""
        while not self._over.wait(self.every.total_seconds()):
            try:
                self.write()
            except DrkitError as error:
                log.warning("cannot refresh the mark in the vault: %s", error.message)

    def stop(self) -> None:
        """Write it no more."""
        self._over.set()

    def end(self) -> None:
        """Take the mark away; what cannot be removed becomes stale."""
        try:
            self._remove(self._version)
        except DrkitError as error:
            log.warning("cannot remove the mark from the vault: %s", error.message)

    def _remove(self, version: str | None) -> None:
        # A bucket that locks everything by itself keeps it; a mark is small.
        with contextlib.suppress(NotDeleted):
            self.vault.delete([(self.key, version)], tidying=True)


def marks(vault: Bucket, place: BucketPlace) -> Iterator[Mark]:
    """All marks of running work, fresh or not."""
    for found in vault.listed(f"{marks_prefix(place)}running/"):
        try:
            content = json.loads(vault.read_small(found.key))
            run, work, host, machine = (str(content[name]) for name in ("run", "work", "host", "machine"))
        except ObjectMissing:
            continue
        except (ValueError, KeyError, TypeError):
            # Whatever it is, somebody works here.
            run, work, host, machine = found.key, "something", "an unknown host", ""
        yield Mark(found.key, run, work, host, machine, datetime.fromisoformat(found.modified))


@contextlib.contextmanager
def held(
    vault: Bucket, place: BucketPlace, run: str, work: Work, machine: str, *, every: timedelta = _EVERY
) -> Iterator[Held]:
    """Have a mark in the vault while this lasts."""
    mark = Held(vault, place, run, work, machine, every)
    mark.write()
    thread = threading.Thread(target=mark.refresh, name="mark", daemon=True)
    thread.start()
    try:
        yield mark
    finally:
        mark.stop()
        # A mark that is put after it was taken away would stay.
        thread.join()
        mark.end()


@contextlib.contextmanager
def backing_up(
    vault: Bucket, place: BucketPlace, run: str, *, site: str, machine: str, wait: timedelta
) -> Iterator[Held]:
    """A backup's work in the vault: it is this site's, and no expire is under way any more.

    Raises NotOurs, or SiteLocked when an expire has not ended after `wait`. Call `check` on what this gives
    before the point is sealed.
    """
    claim(vault, place, site)
    with held(vault, place, run, "backup", machine) as mark:
        _wait_for(mark, lambda other: other.work != "backup", wait)
        yield mark


def _wait_for(mark: Held, in_the_way: Callable[[Mark], bool], wait: timedelta) -> None:
    deadline = time.monotonic() + wait.total_seconds()
    while waiting := [other for other in mark.others() if in_the_way(other)]:
        other = waiting[0]
        if time.monotonic() > deadline:
            raise SiteLocked(
                f"{other.work} (run {other.run} on {other.host}) works in the vault {mark.place.where}",
                hint=f"wait until it has ended; a dead one's mark is passed over after {_MINUTES} minutes",
            )
        log.info("waiting for %s on %s, which works in the vault", other.work, other.host)
        time.sleep(min(_LOOK_AGAIN, max(0.0, deadline - time.monotonic()) + 0.01))
        stopping.stop_if_asked()


def sweep(mark: Held) -> int:
    """Remove what killed runs left: stale marks, and uploads that nobody goes on with; returns how many.

    For the end of a backup, when it has taken up what it can use. Where another run is under way, its uploads
    are not to be told from those of the dead, and stay.
    """
    fresh = {other.key for other in mark.others()}
    stale = [found.key for found in marks(mark.vault, mark.place) if found.key not in fresh | {mark.key}]
    with contextlib.suppress(NotDeleted):
        if stale:
            mark.vault.delete([(key, None) for key in stale])
    if fresh:
        return len(stale)
    uploads = list(mark.vault.unfinished(below(mark.place)))
    for upload in uploads:
        mark.vault.abort(upload)
    return len(stale) + len(uploads)
