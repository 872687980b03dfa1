"""`drkit points` and `drkit show`: what is there to restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drkit import config
from drkit.actions import collapsed, hosts, known_points
from drkit.model import (
    Bucketed,
    CertificateFacts,
    Closure,
    DatabaseEvidence,
    DrillNote,
    Loss,
    Part,
    Point,
    PointStatus,
    SecretFile,
    Volume,
)
from drkit.model.reread import Reread
from drkit.points.catalog import open_catalog
from drkit.points.ownership import host_of


@dataclass(frozen=True)
class PointLine:
    """A recovery point in a list; `consistent_at` is None for one that is not sealed.

    `vault` says where its image blobs are, if not in the repository; `keys_unproven` that its secrets were
    encrypted again since a full drill has passed.
    """

    id: str
    status: PointStatus
    consistent_at: datetime | None
    bytes: int | None
    last_drill: DrillNote | None
    vault: str | None = None
    proven: bool = False
    keys_unproven: bool = False
    host: str = ""


@dataclass(frozen=True)
class PointList:
    """The recovery points of a repository, newest first; `missing` are those that are gone.

    `taken_over` says whose points are this machine's from now on.
    """

    repository: str
    points: tuple[PointLine, ...]
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    taken_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class PointDetails:
    """Everything about one recovery point."""

    id: str
    status: PointStatus
    started_at: datetime
    consistent_at: datetime
    finished_at: datetime
    bytes: int
    parts: tuple[Part, ...]
    closure: Closure | None
    warnings: tuple[str, ...]
    databases: tuple[DatabaseEvidence, ...]
    secret_files: tuple[SecretFile, ...]
    certificates: tuple[CertificateFacts, ...]
    recipients: tuple[str, ...]
    versions: dict[str, str]
    host: str
    drills: tuple[DrillNote, ...]
    volume: Volume | None = None
    bucket: Bucketed | None = None
    proven: bool = False
    keys_unproven: bool = False
    losses: tuple[Loss, ...] = ()
    # How long ago what the repository, and the vault, hold was read, by the ledger.
    reread: tuple[Reread, ...] = ()


def points(
    settings: config.Config,
    repository: str | None = None,
    forget: Sequence[str] = (),
    confirm: str | None = None,
    take_over: str | None = None,
) -> PointList:
    """The recovery points, straight from the repository.

    `forget` names missing points that nobody need miss any more; raises UsageError where none is called so.
    `confirm` names a point, and says that what production had lost by then is meant. `take_over` names a host
    whose points are this machine's from now on.
    """
    taken = hosts.take_over(settings, take_over) if take_over is not None else ()
    catalog = open_catalog(settings, repository)
    listing = catalog.look()
    if forget:
        known_points.forget(catalog, listing, forget)
    if confirm is not None:
        collapsed.confirm(catalog, listing, confirm)
        listing = catalog.look()
    missed = known_points.look(catalog, listing)
    own = settings.repository(repository).vault
    lines = tuple(_line(point, own.where if own else None) for point in listing.points)
    noticed = collapsed.warnings(listing)
    said = tuple(f"{other.host} ({other.points}, the newest of {other.newest:%Y-%m-%d})" for other in taken)
    if missed is None:
        return PointList(catalog.name, lines, warnings=noticed, taken_over=said)
    return PointList(catalog.name, lines, missed.points, (*missed.warnings, *noticed), said)


def show(settings: config.Config, wanted: str, repository: str | None = None) -> PointDetails:
    """One sealed recovery point; raises NoSuchPoint."""
    # Loaded here, for a list needs neither.
    from drkit.actions.reread import recording
    from drkit.points.ledger import keeping

    catalog = open_catalog(settings, repository)
    point, manifest = catalog.find(wanted)
    found, _ = keeping.summaries(catalog, catalog.snapshots())
    return PointDetails(
        id=point.id,
        status=point.status,
        started_at=manifest.started_at,
        consistent_at=manifest.consistent_at,
        finished_at=manifest.finished_at,
        bytes=manifest.bytes,
        parts=manifest.parts,
        closure=manifest.closure,
        warnings=manifest.warnings,
        databases=manifest.databases,
        secret_files=manifest.secret_files,
        certificates=manifest.certificates,
        recipients=manifest.recipients,
        versions=manifest.versions,
        host=manifest.host,
        drills=point.drills,
        volume=manifest.volume,
        bucket=manifest.bucket,
        proven=point.proven,
        keys_unproven=point.keys_unproven,
        losses=manifest.losses,
        reread=recording.judged(found, settings.objectives.reread) if found else (),
    )


def _line(point: Point, vault: str | None) -> PointLine:
    """`vault` is the repository's own, to which `copy` has brought what the first has."""
    manifest = point.manifest
    return PointLine(
        id=point.id,
        status=point.status,
        consistent_at=manifest.consistent_at if manifest else None,
        bytes=manifest.bytes if manifest else None,
        last_drill=point.last_drill,
        vault=vault or manifest.bucket.vault.where if manifest and manifest.bucket else None,
        proven=point.proven,
        keys_unproven=point.keys_unproven,
        host=host_of(point),
    )
