"""What follows from a ledger: what is overdue, and when it will be done at today's pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drkit.model import CLOCK_SKEW
from drkit.model.reread import Proved, Reread, StoreProofs, reread

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TARGET = 90 * DAY


def at(days: float, size: int, items: int = 1) -> Proved:
    return Proved(NOW - days * DAY, items, size)


def judged(
    read: tuple[Proved, ...] = (),
    unread: tuple[Proved, ...] = (),
    wrong: int = 0,
    target: timedelta | None = TARGET,
) -> Reread:
    store = StoreProofs("vault", "here", read, unread, int(wrong > 0), wrong)
    return reread(store, NOW, target, CLOCK_SKEW)


def test_all_read_in_time() -> None:
    found = judged((at(89, 300), at(2, 700)))
    assert (found.bytes, found.overdue_bytes, found.overdue_share, found.done_at) == (1000, 0, 0, None)
    assert (found.oldest_seconds, found.never_bytes) == (89 * 86_400, 0)
    assert found.newest_at == NOW - 2 * DAY
    assert (found.half_seconds, judged((at(89, 501), at(2, 499))).half_seconds) == (2 * 86_400, 89 * 86_400)
    assert judged((at(2, 499),), (at(3, 501),)).half_seconds is None


def test_a_part_is_overdue_and_done_at_the_pace_of_the_last_week() -> None:
    # Of 1400 bytes 700 were read in seven days: the 200 that are overdue take two more.
    found = judged((at(91, 150), at(5, 300), at(1, 400), at(30, 500)), (at(100, 50),))
    assert (found.overdue_bytes, found.never_bytes, found.pace) == (200, 50, 100)
    assert found.overdue_share == pytest.approx(1 / 7)
    assert found.done_at == NOW + 2 * DAY
    assert found.round_seconds == 14 * 86_400


def test_nothing_read_is_never_done() -> None:
    found = judged((), (at(100, 50),))
    assert (found.overdue_share, found.pace, found.done_at, found.round_seconds) == (1, 0, None, None)


def test_what_is_new_is_not_overdue() -> None:
    found = judged((), (at(3, 50),))
    assert (found.overdue_bytes, found.never_bytes, found.oldest_seconds) == (0, 50, 3 * 86_400)


def test_what_is_damaged_is_overdue_whenever_it_was_read() -> None:
    found = judged((at(1, 900),), wrong=100)
    assert (found.overdue_share, found.wrong_bytes, found.oldest_seconds) == (0.1, 100, None)


def test_without_an_objective_nothing_is_overdue() -> None:
    found = judged((at(500, 900),), target=None)
    assert (found.overdue_bytes, found.oldest_seconds) == (0, 500 * 86_400)


def test_what_was_read_in_the_future_was_never_read() -> None:
    found = judged((at(-30, 500), at(1, 500)))
    assert (found.never_bytes, found.overdue_bytes, found.bytes) == (500, 500, 1000)
    assert found.oldest_seconds is not None
    assert found.oldest_seconds > TARGET.total_seconds()


def test_what_was_there_in_the_future_is_as_old_as_anything() -> None:
    found = judged((at(1, 500),), (at(-30, 500),))
    assert (found.never_bytes, found.overdue_bytes, found.bytes) == (500, 500, 1000)


def test_an_empty_store_is_read() -> None:
    found = judged()
    assert (found.bytes, found.overdue_share, found.oldest_seconds) == (0, 0, 0)
