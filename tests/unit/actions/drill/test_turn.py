"""Which repository a drill takes, where all have their turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from drkit.actions.drill.turn import longest_ago
from drkit.model import Attempt, Level
from tests.samples import drill_note

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ("primary", "offsite", "tape")


def attempt(scope: str, ago: timedelta, code: int = 6) -> Attempt:
    return Attempt(scope, "drill", scope, NOW - ago, NOW - ago, code)


def turn(known: list[Attempt], level: Level = "full", **drilled: timedelta) -> str:
    notes = {name: [drill_note("p", NOW - ago)] for name, ago in drilled.items()}
    return longest_ago(NAMES, notes, known, level)


def test_the_one_whose_last_drill_is_longest_ago() -> None:
    assert turn([]) == "primary"
    assert turn([], primary=DAY) == "offsite"
    assert turn([], primary=DAY, offsite=2 * DAY) == "tape"
    assert turn([], primary=3 * DAY, offsite=2 * DAY, tape=DAY) == "primary"


def test_what_was_tried_has_had_its_turn() -> None:
    """Or a repository that is away would keep the others from being drilled."""
    known = [attempt("full", 3 * DAY), attempt("full from offsite", DAY)]
    assert turn(known, tape=2 * DAY) == "primary"
    assert turn([*known, attempt("full", timedelta(hours=1), 130)], tape=2 * DAY) == "primary", "interrupted"


def test_a_quick_drill_is_no_turn_at_full_ones() -> None:
    known = [attempt("quick", DAY, 0)]
    assert turn(known, offsite=2 * DAY, tape=DAY) == "primary"
    assert turn(known, "quick", offsite=2 * DAY, tape=3 * DAY) == "tape"
