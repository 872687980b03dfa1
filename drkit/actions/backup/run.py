"""`drkit backup`: take one recovery point.

The order is what makes database and blobs belong together: the databases are held still first, the blobs are
read afterwards, and a garbage collection that ran in between makes it start over. The manifest is stored
last; without it nothing of this run counts.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import drkit
from drkit import config
from drkit.actions import dropped, known_points, leftovers, room, secret_warnings, spreading
from drkit.actions.backup import read_only
from drkit.actions.backup.capture import Capture, RetryReason
from drkit.actions.backup.context import Context
from drkit.actions.backup.draft import Draft
from drkit.actions.backup.gc_watch import GarbageCollectionWatch
from drkit.actions.backup.sealing import BackupResult, finish
from drkit.actions.backup.task import Task
from drkit.actions.drift import look as drift
from drkit.actions.vault_reliants import reliants_at_hand
from drkit.blobs.vault.work import VaultWork
from drkit.database import locked
from drkit.errors import BackupIncomplete, ConfigError, DrkitError, Interrupted
from drkit.model import (
    PartKind,
    utc_now,
)
from drkit.points import seal_files
from drkit.points.catalog import open_catalog
from drkit.progress import Listener, silent
from drkit.secrets import changes, lost_keys
from drkit.state.directory import State, new_id, private_directory
from drkit.tools import age
from drkit.tools.restic import repository as restic

log = logging.getLogger(__name__)

_ATTEMPTS = 3


@dataclass(frozen=True)
class PlannedPart:
    """One part that a backup would capture, and from where."""

    kind: PartKind
    name: str
    source: str


def plan(settings: config.Config) -> tuple[PlannedPart, ...]:
    """The parts that a backup of this site has; raises ConfigError where there is nothing to protect."""
    parts: list[PlannedPart] = []
    for entry in settings.databases:
        parts.append(PlannedPart("database", entry.name, locked.where(entry)))
        parts.append(PlannedPart("roles", entry.name, "roles and memberships of the same server"))
    if settings.blobs:
        parts += _of_blobs(settings.blobs, settings.vault)
        parts.append(PlannedPart("digests", "digests", "every digest that must be among the blobs"))
    if settings.secrets.paths:
        where = ", ".join(map(str, settings.secrets.paths))
        parts.append(PlannedPart("secrets", "secrets", where))
    if not parts:
        raise ConfigError(
            "there is nothing to back up: no [[database]], no [blobs], no paths in [secrets]",
            hint="`drkit init --harbor harbor.yml` writes a configuration that has them",
        )
    return tuple(parts)


def _of_blobs(
    blobs: config.DirectoryBlobs | config.BucketBlobs, vault: config.Vault | None
) -> Sequence[PlannedPart]:
    if vault is None or isinstance(blobs, config.DirectoryBlobs):
        return (PlannedPart("blobs", "blobs", blobs.where),)
    return (
        PlannedPart("inventory", "inventory", f"{blobs.where}, copied to {vault.where}"),
        PlannedPart("links", "links", f"the links in {blobs.where}"),
    )


def backup(settings: config.Config, listener: Listener = silent, cluster: str | None = None) -> BackupResult:
    """Take one recovery point; `cluster` is the address of a scheduler whose workers copy blobs to the vault.

    Raises BackupIncomplete (with the BackupResult) if any source failed, the repository's errors, ToolTooOld.
    """
    settings = settings.over(cluster)
    plan(settings)
    spreading.refuse_alone(cluster, "this backup", bucket=isinstance(settings.blobs, config.BucketBlobs))
    age.parse_recipients(settings.secrets.recipients)
    state = State(settings.site.state)
    state.prepare()
    versions = {"drkit": drkit.__version__, "restic": _restic_version()}
    # Before anything is written, the lock too.
    room.refuse_full(settings)
    with state.site_lock("backup", settings.site.lock_wait):
        catalog = open_catalog(settings)
        catalog.repository.access.require_writable()
        swept = leftovers.sweep_runs(state) + read_only.unset_left(settings, state)
        listing = catalog.look(locked=True)
        points = listing.points
        missed = known_points.look(catalog, listing)
        known_points.learn(catalog, listing)
        dead = leftovers.dead_points(points, state.machine, utc_now(), missed.points if missed else ())
        kept: list[str] = []
        with _told(kept):
            swept += leftovers.sweep_superseded(catalog, points)
        noticed = missed.warnings if missed else ()
        noticed += tuple(f"{gone.said}: {gone.hint}" for gone in dropped.dropped(settings, points))
        noticed += secret_warnings.of_recipients(settings.secrets)
        signing_key, unread = secret_warnings.report_key(settings)
        noticed += unread
        try:
            with VaultWork(settings, partial(reliants_at_hand, settings)) as vault:
                context = Context(settings, catalog, versions, listener, vault, listing, noticed, signing_key)
                result = _attempts(context)
        finally:
            # Only now: until here their blobs spared restic reading every file again.
            with _told(kept):
                swept += leftovers.sweep_points(catalog, dead)
        swept += (f"removed {vault.swept} leftovers of earlier runs from the vault",) if vault.swept else ()
        if isinstance(result, BackupResult):
            known_points.learn(catalog, listing, new=result.id)
            return replace(result, swept=swept, warnings=(*result.warnings, *kept))
    last = f"; the last time, {result.cause}" if result.cause else ""
    raise BackupIncomplete(
        f"{result.why} during each of {_ATTEMPTS} attempts{last}",
        hint=result.hint,
        disturbance=result.disturbance,
    )


@contextlib.contextmanager
def _told(kept: list[str]) -> Iterator[None]:
    """What an earlier run left and cannot be removed is told; the new point is none the worse for it."""
    try:
        yield
    except Interrupted:
        raise
    except DrkitError as error:
        kept.append(f"an earlier run has left something that was not removed: {error.message}")


def _attempts(context: Context) -> BackupResult | RetryReason:
    """The first attempt that nothing spoils, or what spoilt the last."""
    given_up: list[Draft] = []
    # Read-only mode would stop a sweep half-way: one that runs already is waited for before.
    GarbageCollectionWatch(context.settings).wait(context.listener)
    try:
        with read_only.held(context.settings, context.state) as of_harbor:
            context = replace(context, warnings=(*context.warnings, *of_harbor))
            for attempt in range(1, _ATTEMPTS + 1):
                result = _attempt(context, attempt, given_up)
                if isinstance(result, BackupResult):
                    break
                log.warning("attempt %d is given up: %s %s", attempt, result.why, result.cause)
        return result
    finally:
        # Only now: until here their blobs spared restic reading every file again.
        for draft in given_up:
            draft.forget(context.repository)


def _restic_version() -> str:
    found = restic.version()
    restic.require(found)
    return ".".join(map(str, found))


def _attempt(context: Context, attempt: int, given_up: list[Draft]) -> BackupResult | RetryReason:
    """One attempt at a recovery point, or what spoilt it; then its draft is added to those given up."""
    started = utc_now()
    point = new_id(started)
    with private_directory(context.state.runs, point) as directory:
        draft = Draft(point, attempt, directory, started)
        draft.sealed.mkdir(mode=0o700)
        _keep_configuration(context.settings, draft)
        spoilt = Capture(context, draft).run()
        if spoilt:
            given_up.append(draft)
            return spoilt
        _look_at_secrets(context, draft)
        _look_again(context.vault, draft)
        return finish(context, draft)


def _keep_configuration(settings: config.Config, draft: Draft) -> None:
    """What a machine that has nothing but the repository is told of this site. It holds no secret."""
    if settings.file is None:
        return
    part = draft.begin("configuration", "configuration", seal_files.CONFIGURATION)
    written = draft.directory / seal_files.CONFIGURATION
    written.write_text(settings.file.text, encoding="utf-8")
    part.seal(written)


def _look_again(vault: VaultWork, draft: Draft) -> None:
    """See once more that the vault has everything; what has gone is a failure of the blobs."""
    if draft.failures:
        return
    try:
        vault.look_again(draft.directory)
    except Interrupted:
        raise
    except DrkitError as error:
        draft.failures[Task("blobs")] = error


def _look_at_secrets(context: Context, draft: Draft) -> None:
    """Warn of what there is to warn of in the secrets that were captured."""
    if not context.settings.secrets.paths or Task("secrets") in draft.failures:
        return
    warning = context.settings.secrets.expiry_warning
    found = secret_warnings.of_content(draft.members, draft.started_at, warning)
    files, key = draft.secret_files, draft.fingerprint_key
    paths = tuple(map(str, context.settings.secrets.paths))
    lost = lost_keys.find(files, key, paths, lost_keys.since_proof(context.listing.points))
    found += tuple(each.said for each in lost)
    if context.previous is not None and context.previous.secret_files:
        news = changes.compare(context.previous, files, key)
        found += tuple(changes.sentences(news, context.previous.id, {each.file.path for each in lost}))
    compared = drift.of_members(context.settings, draft.members)
    draft.drift, draft.excused = compared.drift, compared.excused
    draft.warnings += dict.fromkeys((*found, *drift.warnings(compared)))
