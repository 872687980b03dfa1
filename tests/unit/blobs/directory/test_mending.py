"""One blob into the directory of a registry that runs."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from drkit.blobs.directory.mending import DirectoryMender, Put, hashes_right
from drkit.registry import storage

POINT = "20261129-195540-e0b1d9"
DATA = b"the bytes of a blob"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A registry with one blob, whose modes are its own."""
    made = tmp_path / "registry"
    neighbour = storage.blob_path(made, "sha256:" + "5" * 64)
    neighbour.parent.mkdir(parents=True)
    neighbour.parent.chmod(0o750)
    neighbour.write_bytes(b"a neighbour")
    neighbour.chmod(0o640)
    return made


def brought(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.write_bytes(DATA)
    made.chmod(0o600)
    return made


def test_a_missing_one_is_made_as_its_neighbours_are(root: Path, tmp_path: Path) -> None:
    assert DirectoryMender(root, POINT).put(DIGEST, brought(tmp_path)) == Put(put=True)
    target = storage.blob_path(root, DIGEST)
    assert target.read_bytes() == DATA
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o750
    assert stat.S_IMODE(target.parent.parent.stat().st_mode) == 0o750


def test_a_damaged_one_keeps_another_name(root: Path, tmp_path: Path) -> None:
    target = storage.blob_path(root, DIGEST)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"damaged")
    target.chmod(0o664)
    done = DirectoryMender(root, POINT).put(DIGEST, brought(tmp_path))
    assert done == Put(put=True, aside=f"{target}.before-{POINT}")
    assert Path(done.aside).read_bytes() == b"damaged"
    assert target.read_bytes() == DATA
    assert hashes_right(target, DIGEST)


def test_one_that_is_right_is_left_alone(root: Path, tmp_path: Path) -> None:
    target = storage.blob_path(root, DIGEST)
    target.parent.mkdir(parents=True)
    target.write_bytes(DATA)
    before = target.stat()
    assert DirectoryMender(root, POINT).put(DIGEST, brought(tmp_path)) == Put(put=False)
    assert target.stat().st_ino == before.st_ino
    assert [path.name for path in target.parent.iterdir()] == ["data"]


def test_what_a_run_that_was_cut_off_has_set_aside_is_found_again(root: Path, tmp_path: Path) -> None:
    """It had given the damaged file its other name, and not put the right one in its place."""
    target = storage.blob_path(root, DIGEST)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"damaged")
    aside = target.with_name(f"data.before-{POINT}")
    os.link(target, aside)
    assert DirectoryMender(root, POINT).put(DIGEST, brought(tmp_path)) == Put(put=True, aside=str(aside))
    assert sorted(path.name for path in target.parent.iterdir()) == ["data", aside.name]


def test_a_link_in_its_place_is_not_followed(root: Path, tmp_path: Path) -> None:
    target, elsewhere = storage.blob_path(root, DIGEST), tmp_path / "elsewhere"
    elsewhere.write_bytes(DATA)
    target.parent.mkdir(parents=True)
    target.symlink_to(elsewhere)
    assert not hashes_right(target, DIGEST)
    assert DirectoryMender(root, POINT).put(DIGEST, brought(tmp_path)).put
    assert not target.is_symlink()
    assert elsewhere.read_bytes() == DATA
