"""Sealing a point: what was captured becomes a manifest, if nothing failed and nothing is damaged."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import get_args

from drkit import config
from drkit.actions.backup.context import Context
from drkit.actions.backup.draft import Draft
from drkit.actions.backup.task import Task
from drkit.errors import (
    BackupIncomplete,
    DatabaseBusy,
    Disturbance,
    DrkitError,
    Interrupted,
    ToolFailed,
    of_system,
)
from drkit.model import (
    Bucketed,
    Closure,
    Collapse,
    ConfigurationPlace,
    Loss,
    Part,
    PartKind,
    PointManifest,
    PointStatus,
    Shared,
    Volume,
    in_seal,
    utc_now,
)
from drkit.model.trail import TrailHead
from drkit.points import seal_files, seals
from drkit.state import trail
from drkit.tools.restic.output import Snapshot

log = logging.getLogger(__name__)

# Of the audit trail: the runs of some weeks, and little beside what else is in a seal.
TRAIL_LINES = 200


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
    # Who copied blobs to the vault, if not this machine.
    cluster: Shared | None = None
    # What production has lost most of since an earlier point.
    losses: tuple[Loss, ...] = ()


def finish(context: Context, draft: Draft) -> BackupResult:
    """Seal the point if nothing failed, else say what did."""
    order = get_args(PartKind)
    parts = tuple(sorted(draft.parts, key=lambda part: (order.index(part.kind), part.name)))
    # Of what was not captured whole nobody knows.
    losses = () if draft.failures else context.losses(draft.evidence, draft.closure, draft.started_at)
    lost = Collapse(draft.point, losses)
    result = BackupResult(
        id=draft.point,
        status=PointStatus.INCOMPLETE,
        started_at=draft.started_at,
        consistent_at=draft.consistent_at,
        finished_at=utc_now(),
        parts=parts,
        closure=draft.closure,
        warnings=(*context.warnings, *draft.warnings, *([lost.warning] if losses else [])),
        rows=sum(evidence.rows for evidence in draft.evidence),
        bytes=sum(part.bytes for part in parts),
        added_bytes=sum(part.added_bytes for part in parts),
        attempts=draft.attempt,
        volume=draft.volume,
        bucket=draft.bucket,
        cluster=draft.shared,
        losses=losses,
    )
    if draft.failures:
        raise _incomplete(draft.failures, result)
    context.vault.check()
    stored = context.catalog.snapshots_of(draft.point)
    manifest = seals.with_trees(_manifest(context, draft, result), stored)
    _refuse_gone(stored, manifest, result)
    _keep_trail(context, draft)
    try:
        saved = context.catalog.seal(manifest, draft.sealed, known=context.listing.snapshots)
    except Interrupted:
        raise
    except (ToolFailed, OSError) as error:
        raise _unsealed(error, result) from None
    return replace(
        result,
        status=PointStatus.SEALED,
        parts=in_seal(manifest.parts, saved.snapshot),
        added_bytes=result.added_bytes + saved.added_bytes,
    )


def _keep_trail(context: Context, draft: Draft) -> None:
    """The last lines of the audit trail; that they cannot be read keeps no point from being sealed."""
    try:
        if lines := trail.tail(context.state.root, TRAIL_LINES):
            (draft.sealed / seal_files.TRAIL).write_bytes(lines)
    except OSError as error:
        log.warning("the audit trail cannot be kept in the point: %s", error)


def _trail_head(context: Context) -> TrailHead | None:
    try:
        return trail.head(context.state.root, context.state.machine)
    except OSError:
        return None


def _unsealed(error: ToolFailed | OSError, result: BackupResult) -> BackupIncomplete:
    """Everything was captured, and the seal could not be stored."""
    known = of_system(error) if isinstance(error, OSError) else error
    if known is None:
        raise error
    hint = known.hint or "fix the cause and run again"
    return BackupIncomplete(f"no recovery point was sealed: seal: {known.message}", hint=hint, result=result)


def _refuse_gone(stored: Sequence[Snapshot], manifest: PointManifest, result: BackupResult) -> None:
    """Where somebody has removed what we have only just stored, a seal would lie. Raises BackupIncomplete."""
    gone = seals.foreign_parts(manifest, manifest.id, stored)
    if gone:
        raise BackupIncomplete(
            f"no recovery point was sealed: {'; '.join(gone[:3])}",
            hint="see who else removes snapshots from this repository; no two machines may share a state "
            "directory, or a copy of one",
            result=result,
        )


def _manifest(context: Context, draft: Draft, result: BackupResult) -> PointManifest:
    settings = context.settings
    assert draft.consistent_at is not None
    return PointManifest(
        id=result.id,
        site=settings.site.name,
        started_at=result.started_at,
        consistent_at=draft.consistent_at,
        finished_at=result.finished_at,
        parts=result.parts,
        databases=tuple(sorted(draft.evidence, key=lambda evidence: evidence.name)),
        closure=draft.closure,
        blobs_root=settings.blobs.where if settings.blobs else None,
        storage="oci" if isinstance(settings.blobs, config.LayoutBlobs) else "distribution",
        secret_files=draft.secret_files,
        recipients=settings.secrets.recipients if settings.secrets.paths else (),
        digest_count=draft.digest_count,
        versions=dict(context.versions),
        host=platform.node(),
        warnings=result.warnings,
        certificates=draft.certificates,
        fingerprint_key=draft.fingerprint_key,
        key_faults=draft.key_faults,
        volume=result.volume,
        bucket=result.bucket,
        secret_paths=tuple(map(str, settings.secrets.paths)),
        losses=result.losses,
        drift=draft.drift,
        excused=draft.excused,
        configuration=_configuration(settings),
        signing_key=context.signing_key,
        trail=_trail_head(context),
    )


def _configuration(settings: config.Config) -> ConfigurationPlace | None:
    file = settings.file
    return ConfigurationPlace(str(file.path), file.mode, file.uid, file.gid) if file else None


def _incomplete(failures: Mapping[Task, DrkitError], result: BackupResult) -> BackupIncomplete:
    what = "; ".join(f"{task}: {failures[task].message}" for task in sorted(failures, key=str))
    hints = [error.hint for error in failures.values() if error.hint]
    busy = all(isinstance(error, DatabaseBusy) for error in failures.values())
    return BackupIncomplete(
        f"no recovery point was sealed: {what}",
        hint=hints[0] if hints else "fix the cause and run again",
        result=result,
        disturbance=Disturbance.TABLES_IN_USE if busy else None,
    )
