"""`drkit backup`: take one recovery point.

The order is what makes database and blobs belong together: the databases are held still first, the blobs are
read afterwards, and a garbage collection that ran in between makes it start over. The manifest is stored
last; without it nothing of this run counts.
"""

from __future__ import annotations

import logging
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import get_args

import drkit
from drkit import config, seals
from drkit.actions import leftovers, secret_warnings
from drkit.catalog import Catalog, open_catalog, part_tags
from drkit.errors import BackupIncomplete, ConfigError, DrkitError, ToolFailed
from drkit.model import Bucketed, Closure, Manifest, Part, PartKind, PointStatus, Volume, utc_now
from drkit.progress import Listener, silent
from drkit.sources import changes, database, read_only
from drkit.sources.capture import Capture, Spoilt
from drkit.sources.collection import Watch
from drkit.sources.record import Captured, Record
from drkit.sources.vault.work import VaultWork
from drkit.state import State, new_id, private_directory
from drkit.tools import age, restic

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_ROOM = 64 << 20


@dataclass(frozen=True)
class PlannedPart:
    """One part that a backup would capture, and from where."""

    kind: PartKind
    name: str
    source: str


@dataclass(frozen=True)
class BackupResult:
    """What a backup did; `status` is `sealed` only if everything is in the repository."""

    id: str
    status: PointStatus
    started_at: datetime
    consistent_at: datetime | None
    finished_at: datetime
    parts: tuple[Part, ...]
    closure: Closure | None
    warnings: tuple[str, ...]
    swept: tuple[str, ...] = ()
    rows: int = 0
    bytes: int = 0
    added_bytes: int = 0
    attempts: int = 1
    volume: Volume | None = None
    bucket: Bucketed | None = None


def plan(settings: config.Config) -> tuple[PlannedPart, ...]:
    """The parts that a backup of this site has; raises ConfigError where there is nothing to protect."""
    parts: list[PlannedPart] = []
    for entry in settings.databases:
        parts.append(PlannedPart("database", entry.name, database.where(entry)))
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
    blobs: config.FilesystemBlobs | config.BucketBlobs, vault: config.Vault | None
) -> Sequence[PlannedPart]:
    if vault is None or isinstance(blobs, config.FilesystemBlobs):
        return (PlannedPart("blobs", "blobs", blobs.where),)
    return (
        PlannedPart("inventory", "inventory", f"{blobs.where}, copied to {vault.where}"),
        PlannedPart("links", "links", f"the links in {blobs.where}"),
    )


def backup(settings: config.Config, listener: Listener = silent) -> BackupResult:
    """Take one recovery point.

    Raises BackupIncomplete (with the BackupResult) if any source failed, the repository's errors, ToolTooOld.
    """
    plan(settings)
    age.parse_recipients(settings.secrets.recipients)
    state = State(settings.site.state)
    state.prepare()
    versions = {"drkit": drkit.__version__, "restic": _restic_version()}
    with state.site_lock("backup", settings.site.lock_wait):
        catalog = open_catalog(settings)
        swept = leftovers.sweep_runs(state) + read_only.unset_left(settings, state)
        points = catalog.points(locked=True)
        dead = leftovers.dead_points(points, state.machine, utc_now())
        swept += leftovers.sweep_superseded(catalog, points)
        previous = next((point.manifest for point in points if point.manifest), None)
        _look_for_room(settings)
        try:
            with VaultWork(settings) as vault:
                result = _attempts(settings, state, catalog, versions, listener, previous, vault)
        finally:
            # Only now: until here their blobs spared restic reading every file again.
            swept += leftovers.sweep_points(catalog, dead)
        swept += (f"removed {vault.swept} leftovers of earlier runs from the vault",) if vault.swept else ()
        if isinstance(result, BackupResult):
            return replace(result, swept=swept)
    last = f"; the last time, {result.cause}" if result.cause else ""
    raise BackupIncomplete(f"{result.why} during each of {_ATTEMPTS} attempts{last}", hint=result.hint)


def _attempts(
    settings: config.Config,
    state: State,
    catalog: Catalog,
    versions: Mapping[str, str],
    listener: Listener,
    previous: Manifest | None,
    vault: VaultWork,
) -> BackupResult | Spoilt:
    """The first attempt that nothing spoils, or what spoilt the last."""
    given_up: list[Record] = []
    # Read-only mode would stop a sweep half-way: one that runs already is waited for before.
    Watch(settings).wait(listener)
    try:
        with read_only.held(settings, state) as warnings:
            for attempt in range(1, _ATTEMPTS + 1):
                context = _Context(settings, catalog, versions, listener, vault, attempt, previous, warnings)
                result = _attempt(context, given_up)
                if isinstance(result, BackupResult):
                    break
                log.warning("attempt %d is given up: %s %s", attempt, result.why, result.cause)
        return result
    finally:
        # Only now: until here their blobs spared restic reading every file again.
        for record in given_up:
            record.forget()


def _restic_version() -> str:
    found = restic.version()
    restic.require(found)
    return ".".join(map(str, found))


def _look_for_room(settings: config.Config) -> None:
    """A full disk fails every part in its own way; one sentence before is better."""
    for path in (settings.site.state, Path(settings.primary.url)):
        if path.is_dir() and shutil.disk_usage(path).free < _ROOM:
            raise ToolFailed(
                f"the disk of {path} is full: less than {_ROOM >> 20} MiB are free",
                hint="make room, for example with `drkit expire`",
            )


@dataclass(frozen=True)
class _Context:
    settings: config.Config
    catalog: Catalog
    versions: Mapping[str, str]
    listener: Listener
    vault: VaultWork
    attempt: int
    previous: Manifest | None
    warnings: tuple[str, ...] = ()
    started_at: datetime = field(default_factory=utc_now)


def _attempt(context: _Context, given_up: list[Record]) -> BackupResult | Spoilt:
    """One attempt at a recovery point, or what spoilt it; then its capture is added to those given up."""
    point = new_id(context.started_at)
    state = State(context.settings.site.state)

    def tags(kind: PartKind, name: str) -> tuple[str, ...]:
        return part_tags(context.catalog, point, kind, name)

    with private_directory(state.runs, point) as directory:
        repository = context.catalog.repository
        record = Record(context.settings, repository, directory, tags, context.listener, context.previous)
        capture = Capture(record, context.vault, partial(_of_secrets, context))
        spoilt = capture.run()
        if spoilt:
            given_up.append(record)
            return spoilt
    return _finish(context, point, record.captured)


def _finish(context: _Context, point: str, captured: Captured) -> BackupResult:
    """Seal the point if nothing failed, else say what did."""
    order = get_args(PartKind)
    parts = tuple(sorted(captured.parts, key=lambda part: (order.index(part.kind), part.name)))
    result = BackupResult(
        id=point,
        status=PointStatus.INCOMPLETE,
        started_at=context.started_at,
        consistent_at=captured.consistent_at,
        finished_at=utc_now(),
        parts=parts,
        closure=captured.closure,
        warnings=(*context.warnings, *captured.warnings),
        rows=sum(evidence.rows for evidence in captured.evidence),
        bytes=sum(part.bytes for part in parts),
        added_bytes=sum(part.added_bytes for part in parts),
        attempts=context.attempt,
        volume=captured.volume,
        bucket=captured.bucket,
    )
    if captured.failures:
        raise _incomplete(captured.failures, result)
    context.vault.check()
    manifest = _manifest(context, captured, result)
    gone = seals.foreign_parts(manifest, point, context.catalog.snapshots_of(point))
    if gone:
        # Somebody has removed what we have only just stored: a seal would lie.
        raise BackupIncomplete(
            f"no recovery point was sealed: {'; '.join(gone[:3])}",
            hint="see who else removes snapshots from this repository; no two machines may share a state "
            "directory, or a copy of one",
            result=result,
        )
    context.catalog.seal(manifest)
    return replace(result, status=PointStatus.SEALED)


def _of_secrets(context: _Context, captured: Captured) -> tuple[str, ...]:
    """What there is to say of the secrets that were captured."""
    warning = context.settings.secrets.expiry_warning
    found = secret_warnings.of_content(captured.members, context.started_at, warning)
    if context.previous is not None and context.previous.secret_files:
        key = captured.fingerprint_key
        news = changes.compare(context.previous, captured.secret_files, key)
        found += tuple(changes.sentences(news, context.previous.id))
    return found


def _manifest(context: _Context, captured: Captured, result: BackupResult) -> Manifest:
    settings = context.settings
    assert captured.consistent_at is not None
    return Manifest(
        id=result.id,
        site=settings.site.name,
        started_at=result.started_at,
        consistent_at=captured.consistent_at,
        finished_at=result.finished_at,
        parts=result.parts,
        databases=tuple(sorted(captured.evidence, key=lambda evidence: evidence.name)),
        closure=captured.closure,
        blobs_root=settings.blobs.where if settings.blobs else None,
        secret_files=captured.secret_files,
        recipients=settings.secrets.recipients if settings.secrets.paths else (),
        digest_count=captured.digest_count,
        versions=dict(context.versions),
        host=platform.node(),
        warnings=result.warnings,
        certificates=captured.certificates,
        fingerprint_key=captured.fingerprint_key,
        volume=result.volume,
        bucket=result.bucket,
    )


def _incomplete(failures: Mapping[str, DrkitError], result: BackupResult) -> BackupIncomplete:
    what = "; ".join(f"{name}: {error.message}" for name, error in sorted(failures.items()))
    hints = [error.hint for error in failures.values() if error.hint]
    return BackupIncomplete(
        f"no recovery point was sealed: {what}",
        hint=hints[0] if hints else "mend it and run again",
        result=result,
    )
