"""Whose a recovery point is, where several machines use one repository for one site."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.actions.hosts import problems
from drkit.errors import ConfigError
from drkit.model import Point
from drkit.points.ownership import OtherHost, Ownership, TakenOver, clone, others
from drkit.state import taken_over
from tests.samples import incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HERE = Ownership("here")


def point(machine: str | None, host: str, ago: timedelta) -> Point:
    """A sealed point of a state directory on a host."""
    found = sealed(f"{machine}-{ago}", NOW - ago)
    assert found.manifest
    return replace(found, machine=machine, manifest=replace(found.manifest, host=host))


OWN = [point("here", "a", days * DAY) for days in range(3)]
OLD = [point("old", "b", days * DAY) for days in (10, 11)]
STANDBY = [point("old", "b", days * DAY + HOUR) for days in range(2)]


def red(ownership: Ownership, points: list[Point]) -> list[bool]:
    return [problem.red for problem in problems(ownership, points, "primary", NOW)]


def test_points_are_those_of_the_state_directory() -> None:
    assert HERE.own([*OWN, *OLD]) == tuple(OWN)
    assert HERE.owns(point(None, "a", DAY)), "nothing says that it is another's"
    assert others(HERE, [*OWN, *OLD]) == (OtherHost("old", "b", 2, NOW - 10 * DAY),)
    assert others(HERE, [*OWN, replace(incomplete("x", NOW), machine="old")]) == ()


def test_a_machine_that_makes_none_goes_by_all() -> None:
    drill_host = Ownership("", makes_none=True)
    assert drill_host.own([*OWN, *OLD]) == (*OWN, *OLD)
    assert red(drill_host, [*OWN, *STANDBY]) == []


def test_a_machine_that_has_made_none_yet_counts_all_and_owns_none() -> None:
    assert HERE.counted(OLD) == tuple(OLD)
    assert HERE.counted([*OWN, *OLD]) == tuple(OWN)
    assert HERE.own(OLD) == ()
    (told,) = problems(HERE, OLD, "primary", NOW)
    assert not told.red
    assert told.message == (
        "2 recovery points in primary made by b, the newest of 2026-11-14 06:00 UTC:"
        " they are not expired here"
    )
    assert "drkit points --take-over b" in told.hint


def test_two_hosts_at_work_are_red_and_one_that_has_ended_is_not() -> None:
    assert red(HERE, [*OWN, *STANDBY]) == [True]
    assert red(HERE, [*OWN, *OLD]) == [False]
    # It took its last point when this machine had begun already, and none for weeks.
    ended = [*OWN, point("here", "a", 30 * DAY), point("old", "b", 20 * DAY)]
    assert red(HERE, ended) == [False]


def test_what_was_taken_over_is_this_machines_up_to_then() -> None:
    took = replace(HERE, taken=(TakenOver("old", "b", NOW - 5 * DAY),))
    assert took.own([*OWN, *OLD]) == (*OWN, *OLD)
    assert red(took, [*OWN, *OLD]) == []
    assert red(took, [*OWN, *OLD, *STANDBY]) == [True], "it lives, and was taken for dead"
    assert took.own(STANDBY) == ()


def test_a_copy_of_the_state_directory_is_noticed_by_names_that_alternate() -> None:
    def by(*hosts: str) -> list[Point]:
        return [point("here", host, (len(hosts) - number) * DAY) for number, host in enumerate(hosts)]

    assert clone(HERE, by("a", "a", "a")) is None
    assert clone(HERE, by("a", "a", "renamed")) is None
    assert clone(HERE, by("container-1", "container-2", "container-3")) is None
    assert clone(HERE, by("a", "b", "a", "b", "a")) == OtherHost("here", "b", 2, NOW - 2 * DAY)
    assert clone(HERE, []) is None
    assert red(HERE, by("a", "b", "a")) == [True]
    assert red(HERE, by("a", "b", *["a"] * 9)) == [False]


def test_what_was_taken_over_is_remembered(tmp_path: Path) -> None:
    assert taken_over.read(tmp_path) == ()
    taken_over.add(tmp_path, [("old", "b"), ("older", "c")], NOW)
    taken_over.add(tmp_path, [("old", "b")], NOW + DAY)
    assert {(each.machine, each.until) for each in taken_over.read(tmp_path)} == {
        ("older", NOW),
        ("old", NOW + DAY),
    }
    (tmp_path / taken_over.FILE).write_text("nonsense")
    with pytest.raises(ConfigError, match="is not understood"):
        taken_over.read(tmp_path)
