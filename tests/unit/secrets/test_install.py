"""Placing a bundle's files: modes, owners and times exactly, whoever they belonged to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from drkit.errors import RestoreDamaged, TargetNotEmpty
from drkit.secrets.bundle import Member, pack, unpack
from drkit.secrets.install import obstacles, place_members, refuse_system
from tests import needs

TIME = 1_600_000_000_123_456_789
POINT = "20261128-020000-4f2a9c"
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
    place_members(unpack(pack(MEMBERS)).members, tmp_path, POINT, replace=False)
    for member in MEMBERS:
        found = (tmp_path / member.path.lstrip("/")).lstat()
        assert (found.st_uid, found.st_gid, found.st_mtime_ns) == (UID, GID, member.mtime_ns), member.path
        if member.kind != "link":
            assert stat.S_IMODE(found.st_mode) == member.mode & 0o777, member.path


def test_one_that_is_in_the_way_keeps_all_from_being_written(tmp_path: Path) -> None:
    (tmp_path / "data/secret").mkdir(parents=True)
    (tmp_path / "data/secret/read-only").write_text("mine")
    with pytest.raises(TargetNotEmpty):
        place_members(MEMBERS, tmp_path, POINT, replace=False)
    assert [each.name for each in (tmp_path / "data/secret").iterdir()] == ["read-only"]


def test_a_link_that_stands_there_leads_nothing_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "data").symlink_to(outside)
    with pytest.raises(RestoreDamaged, match="outside"):
        place_members(MEMBERS, root, POINT, replace=True)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("what", ["file", "link", "above"])
def test_a_file_where_a_directory_belongs(tmp_path: Path, what: str) -> None:
    """Refused before anything is written, or set aside where the user says so; never an error half way."""
    there = tmp_path / ("data" if what == "above" else "data/secret")
    there.parent.mkdir(exist_ok=True)
    if what == "link":
        there.symlink_to("nowhere")
    else:
        there.write_text("mine")
    members = (Member("/a", "file", 0o600, UID, GID, TIME, b"first"), *MEMBERS)
    with pytest.raises(TargetNotEmpty, match=f"{there} is there already"):
        place_members(members, tmp_path, POINT, replace=False)
    assert not (tmp_path / "a").exists()
    placed = place_members(members, tmp_path, POINT, replace=True)
    assert placed.set_aside == [there.with_name(f"{there.name}.before-{POINT}")]
    assert (tmp_path / "data/secret/key").read_bytes() == b"key"


def test_a_link_says_what_it_said(tmp_path: Path) -> None:
    members = (Member("/a", "file", 0o600, 0, 0, TIME), Member("/l", "link", 0o777, 0, 0, TIME, link="./a"))
    place_members(members, tmp_path, POINT, replace=False)
    assert os.readlink(tmp_path / "l") == "./a"  # noqa: PTH115 - pathlib would tidy it up


def test_what_an_interrupted_restore_has_left_is_no_obstacle(tmp_path: Path) -> None:
    """As packed: content, mode and owner. A file half written has not got its name yet."""
    place_members(MEMBERS, tmp_path, POINT, replace=False)
    (tmp_path / "data/secret/key").unlink()
    (tmp_path / "data/secret/.drkit-partial").write_bytes(b"ke")
    assert obstacles(MEMBERS, tmp_path) == []
    placed = place_members(MEMBERS, tmp_path, POINT, replace=False)
    assert (placed.files, placed.kept, placed.set_aside) == (4, 3, [])
    assert sorted(path.name for path in (tmp_path / "data/secret").iterdir()) == [
        "key",
        "link",
        "odd",
        "read-only",
    ]


@pytest.mark.parametrize("change", ["content", "length", "mode", "owner", "kind", "link"])
def test_what_is_not_as_packed_is_an_obstacle(tmp_path: Path, change: str) -> None:
    place_members(MEMBERS, tmp_path, POINT, replace=False)
    key, link = tmp_path / "data/secret/key", tmp_path / "data/secret/link"
    match change:
        case "content":
            key.write_bytes(b"KEY")
        case "length":
            key.write_bytes(b"keys")
        case "mode":
            key.chmod(0o640)
        case "owner":
            if os.geteuid() != 0:
                needs.missing("only root can give files away")
            os.chown(key, 0, 0)
        case "kind":
            key.rename(key.with_name("other"))
            key.symlink_to("other")
        case _:
            link.unlink()
            link.symlink_to("read-only")
    changed = link if change == "link" else key
    with pytest.raises(TargetNotEmpty, match=f"{changed} is there already"):
        place_members(MEMBERS, tmp_path, POINT, replace=False)
    placed = place_members(MEMBERS, tmp_path, POINT, replace=True)
    assert placed.set_aside == [changed.with_name(f"{changed.name}.before-{POINT}")]
    assert key.read_bytes() == b"key"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/cron.d/x",
        "/etc/crontab",
        "/etc/sudoers.d/x",
        "/etc/ld.so.preload",
        "/etc/systemd/system/x.service",
        "/root/.ssh/authorized_keys",
        "/home/somebody/.bashrc",
        "/usr/local/bin/x",
        "/lib/x",
        "/var/spool/cron/crontabs/root",
        "/data/../etc/passwd",
    ],
)
def test_a_bundle_becomes_no_part_of_the_operating_system(path: str) -> None:
    """Whoever can write to the repository can make a bundle, and would be root."""
    members = (Member("/nowhere/a", "file", 0o600, 0, 0, TIME), Member(path, "file", 0o755, 0, 0, TIME, b"x"))
    with pytest.raises(RestoreDamaged, match="belongs to the operating system"):
        place_members(members, None, POINT, replace=True)
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize(
    "path",
    ["/etc/ssl/harbor/tls.key", "/opt/harbor/harbor.yml", "/root/harbor/harbor.yml", "/etc/docker/certs.d/x"],
)
def test_where_secrets_of_a_registry_stand_is_no_part_of_it(path: str) -> None:
    refuse_system([Member(path, "file", 0o600, 0, 0, TIME)], None)
    refuse_system([Member("/etc/passwd", "file", 0o600, 0, 0, TIME)], Path("/somewhere"))


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_directories_above_are_for_everybody_and_nobody_writes_in_them(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        place_members([Member("/a/b/key", "file", 0o600, 0, 0, TIME)], tmp_path, POINT, replace=False)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o755, 0o755]
