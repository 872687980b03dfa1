"""The whole of a restore in time: told while it runs, and gone afterwards."""

from __future__ import annotations

import threading

from drkit.actions.restore import clock
from drkit.progress import Update


def told(expected: float | None) -> list[Update]:
    found: list[Update] = []
    came = threading.Event()

    def listen(update: Update) -> None:
        found.append(update)
        came.set()

    with clock.running(listen, expected):
        if expected is not None:
            assert came.wait(60)
    return found


def test_so_much_of_what_is_expected() -> None:
    first, *_, last = told(1000.0)
    assert 0 < first.done < 1000
    assert (first.total, first.unit, first.finished) == (1000.0, "seconds", False)
    assert last.finished


def test_what_takes_longer_than_it_should_has_no_end_in_sight() -> None:
    assert all(update.finished for update in told(0.001))


def test_without_a_drill_nothing_is_told() -> None:
    assert told(None) == []
