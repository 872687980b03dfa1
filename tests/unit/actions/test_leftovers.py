"""Which points are dead, and which only look so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drkit.actions.leftovers import dead_points
from tests.samples import incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HERE = "here"


def test_only_what_was_never_sealed_is_dead() -> None:
    mine = replace(incomplete("mine", NOW), machine=HERE)
    broken = replace(mine, id="broken", broken_seal="its manifest cannot be read")
    theirs = replace(mine, id="theirs", machine="elsewhere")
    forgotten = replace(theirs, id="forgotten", taken_at=NOW - timedelta(days=8))
    lost = replace(forgotten, id="lost", broken_seal="a part of it is gone")
    whole = replace(sealed("whole", NOW), machine=HERE)
    dead = dead_points([mine, broken, theirs, forgotten, lost, whole], HERE, NOW)
    assert [point.id for point in dead] == ["mine", "forgotten"]
    seen_sealed = dead_points([mine, forgotten], HERE, NOW, missed=["mine"])
    assert [point.id for point in seen_sealed] == ["forgotten"]
