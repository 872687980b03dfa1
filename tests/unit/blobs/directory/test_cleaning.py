"""A restored tree: what is no part of a registry goes, and what stays is harmless."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from drkit.blobs.directory.cleaning import clean
from drkit.errors import RestoreDamaged
from drkit.registry import storage
from tests import needs

DIGITS = "ab" + "0" * 62
LINK = storage.REPOSITORIES / "library/app/_layers/sha256" / DIGITS / "link"


def tree(root: Path) -> Path:
    """One blob and a link to it."""
    blob = storage.blob_path(root, f"sha256:{DIGITS}")
    for path, held in ((blob, "blob"), (root / LINK, f"sha256:{DIGITS}")):
        path.parent.mkdir(parents=True)
        path.write_text(held)
    return blob


def modes(root: Path) -> set[int]:
    return {stat.S_IMODE(path.lstat().st_mode) for path in root.rglob("*")}


def test_a_sound_tree_stays_as_it_is(tmp_path: Path) -> None:
    blob = tree(tmp_path)
    blob.chmod(0o400)
    before = {path: path.lstat() for path in tmp_path.rglob("*")}
    assert clean(tmp_path).sentences == ()
    assert {path: path.lstat().st_mode for path in tmp_path.rglob("*")} == {
        path: status.st_mode for path, status in before.items()
    }


def test_nothing_runs_and_nobody_else_writes(tmp_path: Path) -> None:
    blob = tree(tmp_path)
    blob.chmod(0o6777)
    blob.parent.chmod(0o3777)
    (tmp_path / storage.REPOSITORIES).chmod(0o000)
    found = clean(tmp_path)
    assert found.sentences == ()
    assert stat.S_IMODE(blob.stat().st_mode) == 0o664
    assert modes(tmp_path) <= {0o664, 0o644, 0o775, 0o755, 0o700}


def test_what_is_no_part_of_a_registry(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    root = tmp_path / "root"
    tree(root)
    strange = [
        "docker/registry/v2/blobs/pipe",
        "docker/registry/v2/metadata",
        "docker/registry/v2/repositories/away",
        "evil.sh",
        "lost+found",
    ]
    os.mkfifo(root / strange[0])
    (root / strange[1]).mkdir()
    (root / strange[2]).symlink_to(outside)
    (root / strange[3]).touch()
    (root / strange[4]).symlink_to("/etc")
    found = clean(root)
    assert (found.strange.count, sorted(found.strange.first), found.links.count) == (5, strange, 0)
    assert not any(os.path.lexists(root / name) for name in strange)
    assert (outside / "kept").exists()
    assert (root / LINK).exists()


def test_a_device(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        needs.missing("only root makes devices")
    blob = tree(tmp_path)
    os.mknod(blob.with_name("sda"), 0o666 | stat.S_IFBLK, os.makedev(8, 0))
    assert clean(tmp_path).strange.count == 1
    assert [path.name for path in blob.parent.iterdir()] == ["data"]


def test_links_that_cannot_be_any(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / LINK).write_text("sha256:")
    assert clean(tmp_path, cut_links=False).sentences == ()
    found = clean(tmp_path)
    assert found.sentences == (f"{LINK} is a link that is empty or truncated, and was left out",)
    assert not (tmp_path / LINK).exists()


def test_of_many_the_first_twenty_are_named(tmp_path: Path) -> None:
    tree(tmp_path)
    for number in range(23):
        (tmp_path / storage.REPOSITORIES / f"{number:02}").symlink_to("/")
    (said,) = clean(tmp_path).sentences
    assert "and 3 more is no part" in said
    assert said.count(",") == 19


def test_a_root_that_is_a_link(tmp_path: Path) -> None:
    tree(tmp_path / "real")
    (tmp_path / "root").symlink_to("real")
    with pytest.raises(RestoreDamaged):
        clean(tmp_path / "root")
