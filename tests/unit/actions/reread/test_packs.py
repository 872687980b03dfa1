"""Which share of the packs restic is told to read next, and what a budget leaves room for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from drkit.actions.reread.budget import Budget, Limits, limits, parse_size
from drkit.actions.reread.packs import choose
from drkit.errors import UsageError

GIB = 1 << 30


def test_everything_where_there_is_room_for_it() -> None:
    assert choose([5] * 256, [GIB] * 256, None, first=True) == "1/1"
    assert choose([5] * 256, [GIB] * 256, 256.0 * GIB, first=True) == "1/1"


def test_the_largest_share_with_the_longest_unread_that_there_is_room_for() -> None:
    turns = [5] * 256
    turns[0x47] = 2
    assert choose(turns, [GIB] * 256, 130.0 * GIB, first=True) == "2/2"
    assert choose(turns, [GIB] * 256, 33.0 * GIB, first=True) == "8/8"
    assert choose(turns, [GIB] * 256, 1.0 * GIB, first=True) == "72/256"


def test_one_share_at_least_and_no_second_without_room() -> None:
    assert choose([5] * 256, [GIB] * 256, 0.0, first=True) == "1/256"
    assert choose([5] * 256, [GIB] * 256, 0.0, first=False) is None


def test_no_share_is_larger_than_what_may_be_read_in_one_go_but_the_smallest() -> None:
    for first in (True, False):
        assert choose([5] * 256, [GIB] * 256, None, first=first, most=65.0 * GIB) == "1/4"
        assert choose([5] * 256, [GIB] * 256, None, first=first, most=0.0) == "1/256"


def test_what_was_read_in_this_run_is_not_read_again() -> None:
    turns: list[int | None] = [None] * 256
    for prefix in range(0, 256, 4):
        turns[prefix] = 1
    assert choose(turns, [GIB] * 256, None, first=False) == "1/4"
    assert choose([None] * 256, [0] * 256, None, first=True) is None


def test_every_pack_has_its_turn_within_as_many_runs_as_it_takes() -> None:
    """A quarter each time, the longest unread first: four runs read all, and nothing twice."""
    turns: list[int | None] = [0] * 256
    read: list[int] = []
    for number in range(1, 5):
        share = choose(turns, [GIB] * 256, 64.0 * GIB, first=True)
        assert share is not None
        part, shares = map(int, share.split("/"))
        for prefix in range(part - 1, 256, shares):
            read.append(prefix)
            turns[prefix] = number
    assert sorted(read) == list(range(256))


def test_hosts_that_read_at_the_same_time_begin_at_different_places() -> None:
    turns = [5] * 256
    assert choose(turns, [GIB] * 256, 1.0 * GIB, first=True, start=0) == "1/256"
    assert choose(turns, [GIB] * 256, 1.0 * GIB, first=True, start=200) == "201/256"
    turns[3] = 2
    assert choose(turns, [GIB] * 256, 1.0 * GIB, first=True, start=200) == "4/256", "its turn comes first"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_limit_of_time_leaves_room_at_the_pace_so_far() -> None:
    clock = Clock()
    budget = Budget(Limits(timedelta(seconds=60)), clock)
    assert (budget.room, budget.used_up) == (0, False)
    clock.now += 10
    budget.take(500)
    assert budget.room == 50 * 50
    clock.now += 50
    assert budget.used_up


def test_a_limit_of_bytes_and_the_smaller_of_two() -> None:
    clock = Clock()
    budget = Budget(Limits(timedelta(seconds=1000), 700), clock)
    clock.now += 1
    budget.take(500)
    assert (budget.room, budget.used_up) == (200, False)
    budget.take(200)
    assert budget.used_up
    assert Budget(Limits(), clock).room is None
    stretch = Budget(Limits(bytes=1 << 40), clock, timedelta(seconds=100))
    assert stretch.most == 100 << 20, "before anything was read, as slow as storage may be"


def test_limits_are_shared_and_shrink() -> None:
    both = Limits(timedelta(hours=2), 1000)
    assert both.share(0.25) == Limits(timedelta(minutes=30), 250)
    assert both.after(3600, 600) == Limits(timedelta(hours=1), 400)
    assert Budget(both.after(0, 1000)).used_up


def test_limits_in_the_words_of_the_command_line() -> None:
    assert limits(None, None) is None
    assert limits("2h", "500G") == Limits(timedelta(hours=2), 500 * GIB)
    for span, size in (("2", None), ("0h", None), (None, "5"), (None, "0G"), (None, "5GB"), (None, "")):
        with pytest.raises(UsageError):
            limits(span, size)
    assert parse_size("2T") == 2 << 40
