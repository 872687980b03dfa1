"""Nouns for tests, with everything that a test does not care about filled in."""

from __future__ import annotations

from datetime import datetime, timedelta

from drkit.model import (
    CLOCK_SKEW,
    Attempt,
    CertificateFacts,
    CheckResult,
    Closure,
    ControlResult,
    DrillNote,
    DrillReport,
    Level,
    NextRun,
    Objective,
    Outcome,
    Point,
    PointManifest,
    PointStatus,
    Problem,
    ProblemKind,
    RepositoryStatus,
    Sizes,
    SourceStatus,
    Stage,
    Status,
)
from drkit.model.reread import Proved, Reread, StoreProofs, reread


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


def _reread(now: datetime) -> tuple[Reread, ...]:
    """The reading of a repository that is done, and of a vault that is not."""
    day = timedelta(days=1)
    packs = StoreProofs("packs", "primary", (Proved(now - 2 * day, 60, 1 << 30),), ())
    unread, late = (Proved(now - 3 * day, 10, 5 << 30),), Proved(now - 100 * day, 90, 10 << 30)
    vault = StoreProofs("vault", "s3://vault/kept", (late, Proved(now - day, 900, 70 << 30)), unread)
    return tuple(reread(each, now, 90 * day, CLOCK_SKEW) for each in (packs, vault))


def status(now: datetime) -> Status:
    """A site of which everything is known: an objective is missed, a problem is red, another is not."""
    hour, day = timedelta(hours=1), timedelta(days=1)
    full = drill_note("20261122-020000-4f2a9c", now - 2 * day)
    quick = drill_note("20261124-020000-7bd10e", now - hour, outcome=Outcome.FAILED, level="quick")
    rpo = Objective("rpo", 86_400, 14_400, met=True)
    rto, drills = Objective("rto", 3600, 4000.5, met=False), Objective("drill", 7_776_000, 172_800, met=True)
    far = Objective("rpo", 172_800, None, met=False)
    newest = "20261124-020000-7bd10e"
    return Status(
        site="registry.example.com",
        at=now,
        green=False,
        objectives=(rpo, rto, drills),
        newest_point=newest,
        newest_point_at=now - 4 * hour,
        last_drill=quick,
        last_passed_drill=full,
        points=7,
        problems=("the last drill took longer than the objective allows", "1 incomplete recovery point"),
        findings=(
            Problem(
                ProblemKind.OBJECTIVE,
                "the last drill took longer than the objective allows",
                "make the slow stages faster, or run `drkit drill` again",
                subject="rto",
            ),
            Problem(
                ProblemKind.INCOMPLETE_POINTS,
                "1 incomplete recovery point",
                "the next backup removes it",
                red=False,
            ),
        ),
        runs=(
            Attempt("1", "backup", "", now - 4 * hour, now - 4 * hour + timedelta(seconds=600), 0),
            Attempt("2", "drill", "full", now - 2 * day - hour, now - 2 * day, 0),
            Attempt("3", "verify", "", now - hour, now - hour + timedelta(minutes=1), 7),
            Attempt("4", "drill", "quick", now - hour, now, 5),
        ),
        repositories=(
            RepositoryStatus(
                "primary", 7, newest, now - 4 * hour, rpo, quick, full, full, quick, _reread(now)
            ),
            RepositoryStatus("offsite", None, None, None, far, None, None),
        ),
        sources=(
            SourceStatus("database", "registry", newest, now - 4 * hour, 1 << 30, 1 << 20, 41.5),
            SourceStatus("images", "images", newest, now - 4 * hour, 40 << 30, 3 << 20, 61.0),
            SourceStatus("secrets", "secrets"),
        ),
        sizes=Sizes(41 << 30, float(300 << 20), 28 << 20),
        certificates=(
            CertificateFacts(
                "/etc/ssl/harbor/registry.example.com.crt",
                "CN=registry.example.com",
                "CN=Example CA",
                ("registry.example.com",),
                now - 300 * day,
                now + 65 * day,
                authority=False,
            ),
        ),
        closure=Closure(
            referenced=6700, present=6702, missing=0, size_mismatch=0, unreferenced=2, unreferenced_bytes=9
        ),
        next_runs=(
            NextRun("backup", "0 2 * * *", now + 20 * hour),
            NextRun("drill", "0 5 * * 0", now + 5 * day),
        ),
    )


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
