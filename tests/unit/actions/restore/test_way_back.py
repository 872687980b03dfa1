"""The command that puts back what a restore has set aside, run as it is printed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from drkit.actions.restore.way_back import of_path
from drkit.model.set_aside import free_path

POINT = "20261128-020000-4f2a9c"


def run(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True)


def test_back_and_what_was_restored_stays_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "a directory; with 'quotes'"
    place.mkdir()
    (place / "old").touch()
    aside = free_path(place, POINT)
    place.rename(aside)
    place.mkdir()
    (place / "new").touch()
    run(of_path(aside, POINT))
    assert [path.name for path in place.iterdir()] == ["old"]
    (beside,) = [path for path in tmp_path.iterdir() if path != place]
    assert [path.name for path in beside.iterdir()] == ["new"]


def test_back_where_nothing_has_taken_the_place(tmp_path: Path) -> None:
    place = tmp_path / "secretkey"
    aside = free_path(place, POINT)
    aside.write_text("old")
    run(of_path(aside, POINT))
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["secretkey"]
