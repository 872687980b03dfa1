"""What the dead have left: which points are theirs and which only look so, and their sandboxes."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drkit.actions.leftovers import dead_points, sweep_sandboxes
from drkit.state.directory import new_id
from tests import needs
from tests.samples import incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HERE = "here"
DEAD = "0123456789abcdef0123"


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


def test_what_a_killed_drill_had_mounted_is_unmounted_before_its_sandbox_goes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        needs.missing("to mount something needs root")
    place = tmp_path / "sandboxes" / DEAD / "repository"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    (place / "snapshots").mkdir()
    said = sweep_sandboxes(tmp_path / "sandboxes")
    assert said == (f"removed the sandbox that the killed drill {DEAD} left",)
    assert not place.parent.exists()
    assert str(place) not in Path("/proc/self/mountinfo").read_text()


def test_only_what_drills_have_made_is_removed(tmp_path: Path) -> None:
    """[drill] directory may be the top of a file system, or a directory in which others work."""
    ours = [DEAD, *(f"{new_id(NOW)}.{kind}" for kind in ("cache", "report"))]
    others = ["lost+found", "photographs", f"{DEAD}0", new_id(NOW), f"{new_id(NOW)}.cached", "20261130.cache"]
    for name in ours + others:
        (tmp_path / name / "below").mkdir(parents=True)
    (tmp_path / ("0" * 20)).symlink_to(tmp_path / "photographs")
    assert len(sweep_sandboxes(tmp_path)) == len(ours)
    assert {path.name for path in tmp_path.iterdir()} == {*others, "0" * 20}
    assert all([path.name for path in (tmp_path / name).iterdir()] == ["below"] for name in others)
