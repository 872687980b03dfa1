"""Nouns for tests, with everything that a test does not care about filled in."""

from __future__ import annotations

from datetime import datetime, timedelta

from drkit.model import (
    CheckResult,
    ControlResult,
    DrillNote,
    DrillReport,
    Level,
    Objective,
    Outcome,
    Point,
    PointManifest,
    PointStatus,
    Stage,
)


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


def drill_report(
    name: str,
    at: datetime,
    *,
    level: Level = "full",
    checks: tuple[CheckResult, ...] = (),
    controls: tuple[ControlResult, ...] = (),
    outcome: Outcome = Outcome.PASSED,
    rto_met: bool = True,
) -> DrillReport:
    """The report of a drill that ended at that moment, of a point of an hour before."""
    return DrillReport(
        id=name,
        site="registry.example.com",
        point=f"point-of-{name}",
        level=level,
        outcome=outcome,
        started_at=at - timedelta(minutes=2),
        finished_at=at,
        consistent_at=at - timedelta(hours=1),
        checks=checks,
        controls=controls,
        stages=(Stage("fetch the seal", 0.0, 1.5),),
        recovery_time_seconds=90.0,
        recovery_point_age_seconds=3480.0,
        objectives=(Objective("rto", 60.0 if not rto_met else 3600.0, 90.0, rto_met),)
        if level == "full"
        else (),
        versions={"drkit": "1"},
        host="drill-host",
    )
