"""A registry's root directory takes its place: a directory by one renaming, a mount point is filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.blobs.directory import placing
from drkit.errors import TargetNotEmpty, ToolFailed
from tests import needs

POINT = "20261128-020000-4f2a9c"
ASIDE = f".before-{POINT}"


def restored(target: Path) -> Path:
    """A restored tree in its staging directory."""
    made = placing.make_staging(target, POINT) / "registry"
    (made / "docker").mkdir(parents=True)
    (made / "docker/new").touch()
    return made


@pytest.fixture(params=["tmpfs", "bind"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An empty mount point; a bind mount of the same file system has nothing to tell it by but its name."""
    if os.geteuid() != 0:
        needs.missing("only root mounts")
    target, other = tmp_path / "a registry", tmp_path / "disk"
    target.mkdir()
    other.mkdir()
    how = ("-t", "tmpfs", "none") if request.param == "tmpfs" else ("--bind", str(other))
    subprocess.run(("mount", *how, str(target)), check=True)
    try:
        yield target
    finally:
        subprocess.run(("umount", str(target)), check=True)


def test_what_was_there_comes_back_where_its_successor_cannot_be_moved(tmp_path: Path) -> None:
    target = tmp_path / "registry"
    target.mkdir()
    (target / "image").write_text("old")
    with pytest.raises(ToolFailed, match="cannot move"):
        placing.take_place(tmp_path / "vanished", target, POINT)
    assert (target / "image").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["registry"]


def test_a_mount_point_is_filled_and_the_rest_of_it_left_alone(mounted: Path) -> None:
    (mounted / "lost+found").mkdir()
    assert placing.obstacles(mounted) == ""
    assert placing.take_place(restored(mounted), mounted, POINT) is None
    assert (mounted / "docker/new").exists()
    assert (mounted / "lost+found").is_dir()


def test_what_is_in_a_mount_point_is_set_aside_within_it(mounted: Path) -> None:
    (mounted / "docker").mkdir()
    (mounted / "docker/old").touch()
    assert placing.obstacles(mounted)
    made = restored(mounted)
    # Killed between the two renamings, and run again.
    (mounted / "docker").rename(mounted / f"docker{ASIDE}")
    assert placing.obstacles(mounted) == ""
    assert placing.take_place(made, mounted, POINT) is None
    aside = placing.take_place(restored(mounted), mounted, POINT)
    assert aside == mounted / f"docker{ASIDE}-2"
    assert (mounted / f"docker{ASIDE}/old").exists()
    assert (mounted / "docker/new").exists()


def test_nothing_has_moved_where_it_cannot(mounted: Path) -> None:
    made = restored(mounted)
    (mounted / "docker").write_text("a file")
    (made / "docker").rename(made / "elsewhere")
    with pytest.raises(ToolFailed, match="cannot move"):
        placing.take_place(made, mounted, POINT)
    assert (mounted / "docker").read_text() == "a file"


def test_a_mount_point_further_down_is_refused(mounted: Path) -> None:
    with pytest.raises(TargetNotEmpty, match=f"{mounted} is a mount point below"):
        placing.refuse_mounts_below(mounted.parent)
    placing.refuse_mounts_below(mounted)


def test_a_staging_directory_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    placing.staging_for(tmp_path / "registry", POINT).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ToolFailed, match="is not drkit's"):
        placing.make_staging(tmp_path / "registry", POINT)
