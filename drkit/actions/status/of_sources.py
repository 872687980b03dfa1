"""What points tell of each source, of their sizes and of their certificates; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from drkit import config
from drkit.model import CertificateFacts, Part, Point, PointManifest, Sizes, SourceKind, SourceStatus

_WEEK = timedelta(weeks=1)
# A season: what happened before says little about what happens next.
_WINDOW = 13 * _WEEK
# Two points of one evening say nothing of a week.
_SPAN = timedelta(days=1)


def sources(settings: config.Config, sealed: Sequence[Point]) -> tuple[SourceStatus, ...]:
    """Each source that the configuration or the newest point has, as the newest point that has it holds it.

    `sealed` are the sealed points, newest first.
    """
    manifests = [point.manifest for point in sealed if point.manifest]
    names = dict.fromkeys(_configured(settings))
    if manifests:
        names |= dict.fromkeys((kind, name) for kind, name, _ in _of(manifests[0]))
    return tuple(_newest(kind, name, manifests) for kind, name in names)


def _newest(kind: SourceKind, name: str, manifests: Sequence[PointManifest]) -> SourceStatus:
    for manifest in manifests:
        for its_kind, its_name, part in _of(manifest):
            if (its_kind, its_name) == (kind, name):
                at, added = manifest.consistent_at, part.added_bytes
                return SourceStatus(kind, name, manifest.id, at, part.bytes, added, part.seconds)
    return SourceStatus(kind, name)


def _configured(settings: config.Config) -> Iterator[tuple[SourceKind, str]]:
    for database in settings.databases:
        yield "database", database.name
    if settings.blobs:
        yield "images", "images"
    if settings.secrets.paths:
        yield "secrets", "secrets"


def _of(manifest: PointManifest) -> Iterator[tuple[SourceKind, str, Part]]:
    for part in manifest.parts:
        if part.kind == "database":
            yield "database", part.name, part
    if images := manifest.images:
        yield "images", "images", images
    if secrets := manifest.part("secrets"):
        yield "secrets", "secrets", secrets


def sizes(sealed: Sequence[Point], now: datetime) -> Sizes:
    """How large the newest point is, and how fast points grow."""
    manifests = [p.manifest for p in sealed if p.manifest and p.manifest.consistent_at > now - _WINDOW]
    if not manifests:
        newest = next((point.manifest for point in sealed if point.manifest), None)
        return Sizes(newest.bytes if newest else 0)
    newest, oldest = manifests[0], manifests[-1]
    span = newest.consistent_at - oldest.consistent_at
    growth = (newest.bytes - oldest.bytes) / (span / _WEEK) if span >= _SPAN else None
    recent = [each for each in manifests if each.consistent_at > now - _WEEK]
    added = sum(part.added_bytes for each in recent for part in each.parts)
    return Sizes(newest.bytes, growth, added)


def certificates(sealed: Sequence[Point]) -> tuple[CertificateFacts, ...]:
    """The certificates of the newest point, the first to expire first."""
    newest = next((point.manifest for point in sealed if point.manifest), None)
    return tuple(sorted(newest.certificates, key=lambda facts: facts.not_after)) if newest else ()
