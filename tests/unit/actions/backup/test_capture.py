"""When a capture that went wrong is worth another try."""

from __future__ import annotations

from drkit.actions.backup.capture import disturbed, own_failures
from drkit.actions.backup.task import Task
from drkit.errors import DatabaseBusy, SourceChanged, ToolFailed

BUSY = DatabaseBusy("PostgreSQL: canceling statement due to lock timeout", hint="later")
DIGESTS, BLOBS, SECRETS = Task("digests"), Task("blobs"), Task("secrets")


def test_blobs_that_waited_for_the_digests_in_vain_are_no_failure_of_their_own() -> None:
    failed = own_failures({DIGESTS: BUSY, BLOBS: BUSY, SECRETS: None})
    assert failed == {DIGESTS: BUSY}
    spoilt = disturbed(failed)
    assert spoilt is not None
    assert spoilt.why == "tables were locked or changed"
    assert spoilt.cause == f"digests: {BUSY.message}"


def test_blobs_that_failed_themselves_are() -> None:
    lost = SourceChanged("a file vanished", hint="again")
    failed = own_failures({DIGESTS: BUSY, BLOBS: lost})
    assert failed == {DIGESTS: BUSY, BLOBS: lost}
    assert disturbed(failed) is None


def test_locks_do_not_excuse_what_else_is_wrong() -> None:
    full = ToolFailed("no space left", hint="make room")
    failed = own_failures({Task("evidence", "registry"): BUSY, Task("database", "registry"): full})
    assert disturbed(failed) is None
    assert disturbed({}) is None
