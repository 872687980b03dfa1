"""What counts for an objective, and what does not, whatever the clocks say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit import config
from drkit.actions.status import Status, judge
from drkit.model import Point
from tests.samples import drill_note, incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    file = tmp_path / "drkit.toml"
    file.write_text(
        f"""
        [site]
        name = "registry.example.com"
        state = "{tmp_path}"
        [objectives]
        rpo = "24h"
        rto = "1h"
        drill = "90d"
        [[repository]]
        name = "primary"
        url = "/repository"
        password_file = "{tmp_path}/password"
        """
    )
    return config.load_config(file)


def met(found: Status) -> dict[str, bool]:
    return {objective.name: objective.met for objective in found.objectives}


def test_what_happened_in_time_meets_the_objectives(settings: config.Config) -> None:
    at = NOW - timedelta(hours=4)
    found = judge(settings, [sealed("p", at, drill_note("p", NOW - timedelta(hours=1)))], NOW)
    assert met(found) == {"rpo": True, "rto": True, "drill": True}
    assert found.problems == ()


def test_a_point_from_the_future_meets_no_objective(settings: config.Config) -> None:
    """A clock that was wrong for one night must not make every later night look fine."""
    wrong = sealed("wrong", NOW + 1461 * DAY, drill_note("wrong", NOW + 1461 * DAY))
    right = sealed("right", NOW - 3 * DAY, drill_note("right", NOW - 100 * DAY))
    found = judge(settings, [wrong, right], NOW)
    assert met(found) == {"rpo": False, "rto": True, "drill": False}
    assert (found.newest_point, found.points) == ("right", 2)
    assert (
        "dated in the future, and counted for nothing: wrong, drill drill-of-wrong; is or was a clock"
        in (found.problems[-1])
    )
    assert met(judge(settings, [wrong], NOW)) == {"rpo": False, "rto": False, "drill": False}


def test_a_broken_seal_is_a_problem_of_its_own(settings: config.Config) -> None:
    good = sealed("good", NOW, drill_note("good", NOW))
    broken: Point = replace(incomplete("broken", NOW), broken_seal="its manifest cannot be read")
    assert judge(settings, [broken, good], NOW).problems == (
        "point broken was sealed, but its manifest cannot be read",
    )
    killed = judge(settings, [incomplete("killed", NOW), good], NOW).problems
    assert killed == ("1 incomplete recovery points: a backup failed, was killed, or is under way",)
