"""Nouns for tests, with everything that a test does not care about filled in."""

from __future__ import annotations

from datetime import datetime, timedelta

from drkit.model import DrillNote, Level, Outcome, Point, PointManifest, PointStatus


def manifest(name: str, at: datetime) -> PointManifest:
    """A manifest without parts, consistent at that moment."""
    return PointManifest(
        id=name,
        site="registry.example.com",
        started_at=at - timedelta(seconds=1),
        consistent_at=at,
        finished_at=at + timedelta(minutes=5),
        parts=(),
        databases=(),
        closure=None,
        blobs_root=None,
        secret_files=(),
        recipients=(),
        digest_count=0,
        versions={},
        host="host",
    )


def drill_note(
    point: str, at: datetime, *, outcome: Outcome = Outcome.PASSED, level: Level = "full"
) -> DrillNote:
    """A drill of a point that ended at that moment."""
    return DrillNote(f"drill-of-{point}", point, level, outcome, at, 90.0)


def sealed(name: str, at: datetime, *drills: DrillNote) -> Point:
    """A sealed point, consistent at that moment."""
    return Point(name, PointStatus.SEALED, at, (f"snapshot-of-{name}",), manifest(name, at), "m", drills)


def proven(name: str, at: datetime) -> Point:
    """A sealed point that a full drill has proven."""
    return sealed(name, at, drill_note(name, at + timedelta(days=1)))


def incomplete(name: str, at: datetime) -> Point:
    """A point whose manifest was never stored."""
    return Point(name, PointStatus.INCOMPLETE, at, (f"snapshot-of-{name}",))
