"""Blobs that a service is asked to copy by itself: what it does not copy is left over."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from drkit.blobs.bucket.by_service import left_over
from drkit.blobs.inventory import Entry

UNTIL = datetime(2026, 12, 24, tzinfo=UTC)
ENTRIES = [
    Entry(f"sha256:{number:064x}", f'blobs/"{number}"', number, f"v{number}" if number % 2 else None, UNTIL)
    for number in range(700)
]


def test_they_come_as_they_were_and_in_their_order(tmp_path: Path) -> None:
    found = left_over(ENTRIES, lambda entry: entry.size % 3 == 0, tmp_path)
    assert list(found) == [entry for entry in ENTRIES if entry.size % 3]
    # What an earlier attempt of the same run has left does not count.
    assert list(left_over(ENTRIES, lambda _entry: True, tmp_path)) == []


def test_one_that_takes_long_holds_up_no_other(tmp_path: Path) -> None:
    others, lock = threading.Event(), threading.Lock()
    done = 0

    def settled(entry: Entry) -> bool:
        nonlocal done
        if entry is ENTRIES[0]:
            return others.wait(60)
        with lock:
            done += 1
            if done == len(ENTRIES) - 1:
                others.set()
        return True

    assert list(left_over(ENTRIES, settled, tmp_path)) == []
