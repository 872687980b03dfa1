"""`drkit points` and `drkit show`: what is there to restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drkit import config
from drkit.catalog import open_catalog, pick
from drkit.model import (
    Bucketed,
    CertificateFacts,
    Closure,
    DatabaseEvidence,
    DrillNote,
    Part,
    Point,
    PointStatus,
    SecretFile,
    Volume,
)


@dataclass(frozen=True)
class PointLine:
    """A recovery point in a list; `consistent_at` is None for one that is not sealed.

    `vault` says where its image blobs are, if not in the repository.
    """

    id: str
    status: PointStatus
    consistent_at: datetime | None
    bytes: int | None
    last_drill: DrillNote | None
    vault: str | None = None


@dataclass(frozen=True)
class PointList:
    """The recovery points of a repository, newest first."""

    repository: str
    points: tuple[PointLine, ...]


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


def points(settings: config.Config, repository: str | None = None) -> PointList:
    """The recovery points, straight from the repository."""
    catalog = open_catalog(settings, repository)
    return PointList(settings.repository(repository).name, tuple(map(_line, catalog.points())))


def show(settings: config.Config, wanted: str) -> PointDetails:
    """One sealed recovery point; raises NoSuchPoint."""
    point, manifest = pick(wanted, open_catalog(settings).points())
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
    )


def _line(point: Point) -> PointLine:
    manifest = point.manifest
    return PointLine(
        id=point.id,
        status=point.status,
        consistent_at=manifest.consistent_at if manifest else None,
        bytes=manifest.bytes if manifest else None,
        last_drill=point.last_drill,
        vault=manifest.bucket.vault.where if manifest and manifest.bucket else None,
    )
