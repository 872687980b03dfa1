"""When a capture that went wrong is worth another try."""

from __future__ import annotations

from drkit.errors import DatabaseBusy, SourceChanged, ToolFailed
from drkit.sources.capture import _disturbed, _failures

DATABASE_WORK = {"database registry", "roles of registry", "evidence of registry", "digests"}
BUSY = DatabaseBusy("PostgreSQL: canceling statement due to lock timeout", hint="later")


def test_blobs_that_waited_for_the_digests_in_vain_are_no_failure_of_their_own() -> None:
    failed = _failures({"digests": BUSY, "blobs": BUSY, "secrets": None})
    assert failed == {"digests": BUSY}
    spoilt = _disturbed(failed, DATABASE_WORK)
    assert spoilt is not None
    assert spoilt.why == "tables were locked or changed"


def test_blobs_that_failed_themselves_are() -> None:
    lost = SourceChanged("a file vanished", hint="again")
    failed = _failures({"digests": BUSY, "blobs": lost})
    assert failed == {"digests": BUSY, "blobs": lost}
    assert _disturbed(failed, DATABASE_WORK) is None


def test_locks_do_not_excuse_what_else_is_wrong() -> None:
    full = ToolFailed("no space left", hint="make room")
    failed = _failures({"evidence of registry": BUSY, "database registry": full})
    assert _disturbed(failed, DATABASE_WORK) is None
    assert _disturbed({}, DATABASE_WORK) is None
