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


def test_the_next_names_what_no_other_names() -> None:
    first = report("a", "p", 3, "drkit:statement:cd")
    second = report("b", "p", 2, "drkit:statement:ab", "drkit:after:cd")
    unsigned = report("c", "p", 1, "drkit:after:ab")
    assert drill_reports.unnamed([first, second, unsigned]) == (Previous("b", "ab"),)
    # With the clock set back between them, the later one is dated before.
    assert drill_reports.unnamed([second, first]) == (Previous("b", "ab"),)
    # Two hosts at once: whichever follows names both.
    twin = report("t", "p", 2, "drkit:statement:ef", "drkit:after:cd")
    assert drill_reports.unnamed([first, second, twin]) == (Previous("b", "ab"), Previous("t", "ef"))
    assert drill_reports.unnamed([unsigned]) == ()


def test_what_is_stored_later_does_not_replace_a_signed_report() -> None:
    signed, forged = report("a", "p", 3, "drkit:statement:cd"), report("a", "p", 2)
    assert listing(signed, forged).reports == {"a": signed}
    assert listing(forged, signed).reports == {"a": signed}
    assert listing(signed).unread == {"a": signed}


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
