"""Which report the next one names, and which need not be kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from drkit.points import drill_reports
from drkit.points.listing import Listing
from drkit.reports.attestation import Previous
from drkit.tools.restic.output import Snapshot
from tests.samples import sealed

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def report(drill: str, point: str, days_ago: int, *more: str) -> Snapshot:
    tags = (f"drkit:drill:{drill}", f"drkit:point:{point}", *more)
    return Snapshot(id=f"s-{drill}", time=NOW - timedelta(days=days_ago), tags=tags, host="h", paths=())


def listing(*snapshots: Snapshot) -> Listing:
    return Listing((sealed("kept", NOW),), snapshots=snapshots)


def outlived(*snapshots: Snapshot, gone: tuple[str, ...] = ()) -> tuple[str, ...]:
    return drill_reports.outlived(listing(*snapshots), gone, timedelta(days=100), NOW)


def test_the_last_that_was_signed_is_named() -> None:
    signed = report("b", "p", 2, "drkit:statement:ab")
    snapshots = [report("a", "p", 3, "drkit:statement:cd"), signed, report("c", "p", 1)]
    assert drill_reports.last_signed(snapshots) == Previous("b", "ab")
    assert drill_reports.last_signed([snapshots[2]]) is None


def test_reports_go_by_their_age_once_their_points_have_gone() -> None:
    assert outlived(report("a", "gone", 200), report("b", "gone", 101), report("c", "gone", 99)) == (
        "s-a",
        "s-b",
    )


def test_a_report_stays_with_its_point() -> None:
    assert outlived(report("a", "kept", 200)) == ()
    assert outlived(report("a", "kept", 200), gone=("kept",)) == ("s-a",)


def test_nothing_is_taken_out_of_the_middle() -> None:
    assert outlived(report("a", "kept", 300), report("b", "gone", 200)) == ()
