"""Keeping out of the way of garbage collection: waiting for it, and noticing one that ran meanwhile.

Harbor's database knows best; where there is none in the configuration, Harbor's API is asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from drkit import config
from drkit.database import locked
from drkit.database.locked import LockedDatabase
from drkit.errors import BackupIncomplete, Disturbance, DrkitError, Interrupted
from drkit.harbor import garbage_collection, tables
from drkit.harbor.garbage_collection import Collection, Mark
from drkit.progress import Listener, Update
from drkit.tools.postgres import sessions

if TYPE_CHECKING:
    from drkit.tools.harbor_api import HarborApi

log = logging.getLogger(__name__)

_HINT = "run the backup when it has ended; schedule them apart; if its job has died, stop it in Harbor"
_LOOK_AGAIN_SECONDS = 2.0


def api_of(settings: config.Config) -> HarborApi | None:
    """Harbor's API, where the configuration names it; raises ConfigError for its password file."""
    harbor = settings.harbor
    if harbor is None or harbor.url is None:
        return None
    assert harbor.user is not None
    assert harbor.password_file is not None
    # Here, for most have none, and httpx brings all of its own command line along.
    from drkit.tools.harbor_api import HarborApi, read_password

    return HarborApi(harbor.url, harbor.user, read_password(harbor.password_file), harbor.ca_file)


class GarbageCollectionWatch:
    """Looks out for garbage collections during one attempt at a backup."""

    def __init__(self, settings: config.Config) -> None:
        self._settings = settings
        self._api = None if settings.databases else api_of(settings)
        self._marks: dict[str, Mark] = {}
        self._runs: set[int] = set()

    def wait(self, listener: Listener) -> None:
        """Wait for a garbage collection that is under way, as long as the configuration allows.

        Raises BackupIncomplete where it does not end in time.
        """
        harbor = self._settings.harbor
        limit = (harbor or config.Harbor()).wait_for_collection.total_seconds()
        end = time.monotonic() + limit
        found = self._under_way()
        if found and limit:
            log.info("%s: waits up to %d minutes for it to end", found, limit // 60)
        while found:
            left = end - time.monotonic()
            if left <= 0:
                waited = f", and still was after {limit:.0f} seconds" if limit else ""
                raise BackupIncomplete(
                    f"{found}{waited}", hint=_HINT, disturbance=Disturbance.GARBAGE_COLLECTION
                )
            listener(Update("waiting for garbage collection"))
            time.sleep(min(left, _LOOK_AGAIN_SECONDS))
            found = self._under_way()
        listener(Update("waiting for garbage collection", finished=True))

    def mark(self, held: Sequence[LockedDatabase]) -> None:
        """Remember the garbage collections that the databases' snapshots know of."""
        for one in held:
            if tables.is_harbor(one.session):
                self._marks[one.name] = garbage_collection.mark(one.session, one.consistent_at)
        if self._api:
            self._runs = {run.id for run in self._api.collections()}

    def collected(self, held: Sequence[LockedDatabase], gone: Sequence[str]) -> bool:
        """Whether one has run since the mark, runs now, or has taken any of the digests that are `gone`."""
        for one in held:
            known = self._marks.get(one.name)
            if known is None:
                continue
            # Outside the snapshot, which shows things as they were.
            with sessions.connect(one.target) as session:
                taken = garbage_collection.known_blobs(one.session, gone) - garbage_collection.known_blobs(
                    session, gone
                )
                if taken or garbage_collection.since(session, known):
                    return True
        runs = self._api.collections() if self._api else ()
        return any(not run.dry_run and (run.under_way or run.id not in self._runs) for run in runs)

    def _under_way(self) -> str:
        for entry in self._settings.databases:
            try:
                found = _look_into(entry)
            except Interrupted:
                raise
            except DrkitError:
                # A database that does not answer is told of when it is to be dumped.
                continue
            if found:
                return found.sentence
        runs = self._api.collections() if self._api else ()
        run = next((run for run in runs if run.under_way and not run.dry_run), None)
        return garbage_collection.Collection(run.id, None).sentence if run else ""


def _look_into(entry: config.Database) -> Collection | None:
    with sessions.connect(locked.target_of(entry)) as session:
        return garbage_collection.under_way(session) if tables.is_harbor(session) else None
