"""Blobs that are written into a directory, which several machines may do at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.blobs.inventory import Entry
from drkit.blobs.units import targets
from drkit.blobs.units.targets import DirectoryTarget
from drkit.errors import ToolFailed, WrongBytes
from drkit.registry import storage

DATA = b"a blob" * 1000


def entry(data: bytes = DATA) -> Entry:
    return Entry(f"sha256:{hashlib.sha256(data).hexdigest()}", "", len(data))


def nothing() -> None:
    """Asked between pieces."""


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_blob_is_there_when_it_is_right_and_nothing_else_is(tmp_path: Path) -> None:
    with targets.directory(tmp_path) as target:
        assert not target.holds(entry(), nothing)
        target.put(entry(), iter([DATA[:10], DATA[10:]]))
        assert target.holds(entry(), nothing)
        assert target.stands(entry(), None, DATA[:9])
        assert target.stands(entry(), None, None)
        assert not target.stands(entry(), None, b"another")
        assert not target.stands(entry(b"never put"), None, None)
    (path,) = files(tmp_path)
    assert path == storage.blob_path(tmp_path, entry().digest)
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["docker"]


def test_of_what_is_only_read_nothing_but_manifests_is_kept(tmp_path: Path) -> None:
    manifest = b'{"schemaVersion": 2, "layers": []}'
    large = bytes([1]) * (5 << 20)
    with targets.directory(tmp_path, bare=True) as target:
        for data in (DATA, manifest, b"{}", b"", large):
            target.put(entry(data), [data[:10], data[10:]])
            assert target.stands(entry(data), None, data[:9])
            assert not target.holds(entry(data), nothing)
        for wrong in (DATA[:-1], DATA + b"x", DATA.swapcase(), large[:-1]):
            with pytest.raises(WrongBytes):
                target.put(entry(b"another"), [wrong])
    found = {path.parent.name: path for path in files(tmp_path)}
    assert len(found) == 5
    for data in (DATA, b"{}", b"", large):
        assert found[entry(data).digest[7:]].read_bytes() == bytes(len(data))
        assert found[entry(data).digest[7:]].stat().st_blocks == 0
    assert found[entry(manifest).digest[7:]].read_bytes() == manifest


@pytest.mark.parametrize("wrong", [DATA[:-1], DATA + b"x", DATA.swapcase(), b""])
def test_wrong_bytes_are_never_to_be_seen(tmp_path: Path, wrong: bytes) -> None:
    with targets.directory(tmp_path) as target, pytest.raises(WrongBytes):
        target.put(entry(), [wrong])
    assert files(tmp_path) == []


def test_two_that_write_the_same_do_not_spoil_it(tmp_path: Path) -> None:
    def slowly(other: DirectoryTarget) -> Iterator[bytes]:
        yield DATA[:10]
        other.put(entry(), [DATA])
        yield DATA[10:]

    with targets.directory(tmp_path) as target:
        target.put(entry(), slowly(target))
    (path,) = files(tmp_path)
    assert path.read_bytes() == DATA


def test_nothing_is_written_where_nobody_waits_any_more(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()

    def until_it_is_over() -> Iterator[bytes]:
        yield DATA[:10]
        root.rename(tmp_path / "in its place")
        yield DATA[10:]

    with targets.directory(root) as target:
        pass
    with pytest.raises(ToolFailed, match="not the directory"):
        target.require()
    with pytest.raises(ToolFailed, match="cannot write"):
        target.put(entry(), [DATA])
    assert list(root.iterdir()) == []
    (root / target.partial).mkdir()
    with pytest.raises(ToolFailed, match="cannot write"):
        target.put(entry(), until_it_is_over())
    assert not root.exists()


def test_what_a_killed_run_was_writing_goes_with_the_next(tmp_path: Path) -> None:
    with targets.directory(tmp_path) as killed:
        (tmp_path / killed.partial / "half a blob").write_bytes(DATA[:10])
        with targets.directory(tmp_path) as target:
            assert not (tmp_path / killed.partial).exists()
            target.put(entry(), [DATA])
        (tmp_path / killed.partial).mkdir()
    assert [each.name for each in tmp_path.iterdir()] == ["docker"]


def test_what_is_there_or_elsewhere_is_kept_if_it_is_right(tmp_path: Path) -> None:
    old, new, other = tmp_path / "old", tmp_path / "new", entry(b"other")
    for root in (old, new):
        root.mkdir()
    for root, wanted, data in ((old, entry(), DATA), (old, other, b"OTHER"), (new, other, b"oTHER")):
        path = storage.blob_path(root, wanted.digest)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        path.chmod(0o644)
    with targets.directory(new, old) as target:
        assert target.holds(entry(), nothing)
        assert not target.holds(other, nothing)
    inodes = [storage.blob_path(root, entry().digest).stat().st_ino for root in (old, new)]
    assert inodes[0] == inodes[1]
