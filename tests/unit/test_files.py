"""Files that are replaced whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from drkit.errors import RestoreDamaged, failure_of
from drkit.files import make_directory, named_after, plain_file, replace_file
from tests import filesystems


def test_a_reader_keeps_the_old_file_and_the_next_gets_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, "old")
    with path.open() as reader:
        replace_file(path, "new, größer")
        assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "new, größer"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_mode_is_what_was_asked_for(tmp_path: Path, mode: int) -> None:
    mask = os.umask(0o077)
    try:
        replace_file(tmp_path / "file", "x", mode=mode)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        replace_file(path, "\ud800")
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "directory", "x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["directory", "file"]
    assert path.read_text() == "old"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "none" / "file", "x")


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_directory_has_the_mode_that_was_asked_for(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        make_directory(tmp_path / "a/b/c", 0o711)
        make_directory(tmp_path / "a/b/c", 0o700, exist_ok=True)
        make_directory(tmp_path / "private", 0o700)
    finally:
        os.umask(before)
    found = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c", "private")]
    assert found == [0o755, 0o755, 0o711, 0o700]
    with pytest.raises(FileExistsError):
        make_directory(tmp_path / "a", 0o700)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_directory(tmp_path / "file", 0o700, exist_ok=True)


def test_a_restored_file_is_no_link_to_another(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/dump").write_text("x")
    assert plain_file(tmp_path, "/real/dump") == tmp_path / "real/dump"
    (tmp_path / "link").symlink_to("real/dump")
    (tmp_path / "above").symlink_to("real")
    for name in ("/link", "/above/dump", "/real", "/../x"):
        with pytest.raises(RestoreDamaged):
            plain_file(tmp_path, name)


def test_a_disk_that_fills_up_in_the_midst_of_a_file_is_told_with_its_directory(tmp_path: Path) -> None:
    with filesystems.narrow(tmp_path / "narrow", "1m") as where:
        filesystems.fill(where)
        file = (where / "new").open("wb", buffering=0)
        with file, pytest.raises(OSError, match="No space left") as caught, named_after(where):
            file.write(b"x")
    assert failure_of(caught.value).message == f"no space is left for {where}: No space left on device"
