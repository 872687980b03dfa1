"""A registry's directory while it runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from drkit.blobs.directory.live import LiveDirectory
from drkit.errors import ToolFailed
from drkit.registry import storage

DATA = b"the bytes of a blob"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = storage.blob_path(tmp_path, DIGEST)
    path.parent.mkdir(parents=True)
    return path


def test_what_hashes_right_what_does_not_and_what_is_gone(tmp_path: Path, blob: Path) -> None:
    live = LiveDirectory(tmp_path)
    assert live.hashes_right(DIGEST) is None
    blob.write_bytes(DATA)
    assert live.hashes_right(DIGEST) is True
    blob.write_bytes(DATA[::-1])
    assert live.hashes_right(DIGEST) is False


def test_what_the_disk_cannot_read_is_damaged_and_does_not_end_the_audit(tmp_path: Path, blob: Path) -> None:
    """The first page of a process's memory is nowhere, and to read it ends in EIO, as for a bad sector."""
    blob.symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match=r"\[Errno 5\]"):
        blob.read_bytes()
    assert LiveDirectory(tmp_path).hashes_right(DIGEST) is False


def test_what_is_no_damage_of_the_disk_is_told_as_it_is(tmp_path: Path, blob: Path) -> None:
    blob.mkdir()
    with pytest.raises(ToolFailed, match="Is a directory"):
        LiveDirectory(tmp_path).hashes_right(DIGEST)
