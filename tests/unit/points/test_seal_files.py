"""What is taken out of a seal: files, and nothing that leads elsewhere."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit.errors import RestoreDamaged
from drkit.model import Part, PointManifest
from drkit.points import seal_files
from tests import samples

DUMP = Part("database", "r", "dump", "/r.dump", 1, 1, 1.0)
ROLES = Part("roles", "r", "seal", "/r.roles.sql", 1, 1, 1.0)
DIGESTS = Part("digests", "digests", "seal", "/digests.jsonl", 1, 1, 1.0)
PARTS = (DUMP, ROLES, DIGESTS)
MANIFEST = replace(samples.manifest("point", datetime(2026, 11, 24, 2, tzinfo=UTC)), parts=PARTS)
FILES = {"digests.jsonl": b"a line\n", "manifest.json": b"{}", "r.roles.sql": b"CREATE ROLE harbor;"}


def parse(data: bytes) -> PointManifest:
    assert data == b"{}"
    return MANIFEST


def archive(files: dict[str, bytes], *more: tarfile.TarInfo) -> Iterator[bytes]:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as target:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
        for member in more:
            target.addfile(member)
    yield made.getvalue()


def test_what_is_small_is_held_and_lists_are_written(tmp_path: Path) -> None:
    files = seal_files.read(archive(FILES), parse, tmp_path)
    assert files.data("roles", "r") == b"CREATE ROLE harbor;"
    assert b"".join(files.lines("digests", "digests")) == b"a line\n"
    assert [path.name for path in tmp_path.iterdir()] == ["digests.jsonl"]
    assert seal_files.inside(MANIFEST, "seal") == (ROLES, DIGESTS)


def test_without_a_directory_nothing_is_written() -> None:
    assert seal_files.read(archive(FILES), parse).data("roles", "r") == b"CREATE ROLE harbor;"


def test_parts_are_put_into_another_directory(tmp_path: Path) -> None:
    lists, other = tmp_path / "lists", tmp_path / "other"
    lists.mkdir()
    other.mkdir()
    files = seal_files.read(archive(FILES), parse, lists)
    for part in seal_files.inside(MANIFEST, "seal"):
        files.write(part, other)
    assert {path.name: path.read_bytes() for path in other.iterdir()} == {
        name: FILES[name] for name in ("digests.jsonl", "r.roles.sql")
    }


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    files = seal_files.read(archive({"manifest.json": b"{}"}), parse, tmp_path)
    with pytest.raises(RestoreDamaged, match="the seal of point point has no roles of r"):
        files.data("roles", "r")
    with pytest.raises(RestoreDamaged, match="the seal of point point has no digests of digests"):
        files.path("digests", "digests")


def _odd(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/shadow"
    return member


@pytest.mark.parametrize(
    "member",
    [
        _odd("digests.jsonl", tarfile.SYMTYPE),
        _odd("r.roles.sql", tarfile.LNKTYPE),
        _odd("x", tarfile.CHRTYPE),
        _odd("../x.jsonl", tarfile.REGTYPE),
        _odd("/x.jsonl", tarfile.REGTYPE),
    ],
)
def test_anything_but_a_file_at_its_top_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    with pytest.raises(RestoreDamaged, match="the seal cannot be trusted"):
        seal_files.read(archive({"manifest.json": b"{}"}, member), parse, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_would_fill_the_memory_is_refused() -> None:
    """The repository compresses it to nothing."""
    member = tarfile.TarInfo("secrets.tar.age")
    member.size = 1 << 30
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as target:
        target.addfile(member)
    with pytest.raises(RestoreDamaged, match=r"secrets\.tar\.age has 1,073,741,824 bytes"):
        seal_files.read(iter([made.getvalue()]), parse)
