"""Placing a bundle's files: modes, owners and times exactly, whoever they belonged to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from drkit.errors import RestoreDamaged, TargetNotEmpty, ToolFailed
from drkit.sources.bundle import Member, pack, unpack
from drkit.sources.placing import place_members, take_place
from tests import needs

TIME = 1_600_000_000_123_456_789
# No machine has these in its user database.
UID, GID = 3_999_999_991, 3_999_999_992

MEMBERS = (
    Member("/data/secret", "directory", 0o2750, UID, GID, TIME),
    Member("/data/secret/key", "file", 0o600, UID, GID, TIME, b"key"),
    Member("/data/secret/read-only", "file", 0o400, UID, GID, TIME + 1, b"x"),
    Member("/data/secret/odd", "file", 0o4711, UID, GID, -1_000_000_000, b"x"),
    Member("/data/secret/link", "link", 0o777, UID, GID, TIME, link="key"),
)


def test_owners_that_this_machine_does_not_know(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        needs.missing("only root can give files away")
    place_members(unpack(pack(MEMBERS)).members, tmp_path, ".old", replace=False)
    for member in MEMBERS:
        found = (tmp_path / member.path.lstrip("/")).lstat()
        assert (found.st_uid, found.st_gid, found.st_mtime_ns) == (UID, GID, member.mtime_ns), member.path
        if member.kind != "link":
            assert stat.S_IMODE(found.st_mode) == member.mode, member.path


def test_one_that_is_in_the_way_keeps_all_from_being_written(tmp_path: Path) -> None:
    (tmp_path / "data/secret").mkdir(parents=True)
    (tmp_path / "data/secret/read-only").write_text("mine")
    with pytest.raises(TargetNotEmpty):
        place_members(MEMBERS, tmp_path, ".old", replace=False)
    assert [each.name for each in (tmp_path / "data/secret").iterdir()] == ["read-only"]


def test_a_link_that_stands_there_leads_nothing_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "data").symlink_to(outside)
    with pytest.raises(RestoreDamaged, match="outside"):
        place_members(MEMBERS, root, ".old", replace=True)
    assert list(outside.iterdir()) == []


def test_what_was_there_comes_back_where_its_successor_cannot_be_moved(tmp_path: Path) -> None:
    target = tmp_path / "registry"
    target.mkdir()
    (target / "image").write_text("old")
    with pytest.raises(ToolFailed, match="cannot move"):
        take_place(tmp_path / "vanished", target, ".before-p")
    assert (target / "image").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["registry"]
