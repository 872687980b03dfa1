"""A repository on a read-only file system is read at once, and whatever would write is refused at once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drkit.errors import ToolFailed
from drkit.tools.restic import integrity
from drkit.tools.restic.repository import Repository
from tests import needs

TAG, HOST = "drkit", "host"


@pytest.fixture
def frozen(repository: Repository, tmp_path: Path) -> Iterator[Repository]:
    """A repository with one snapshot, mounted so that nobody can write to it; a lock would be waited for."""
    if os.geteuid() != 0:
        needs.missing("a read-only mount needs root")
    repository.save_stream([b"content"], "file", [TAG], HOST)
    place = tmp_path / "frozen"
    place.mkdir()
    subprocess.run(["mount", "--bind", repository.access.url, place], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        # Long, and yet nothing waits for it.
        yield Repository(replace(repository.access, url=str(place), lock_wait=timedelta(minutes=30)))
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.timeout(120)
def test_everything_can_be_read(frozen: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frozen.open()
    ((snapshot,), unread) = frozen.listed(TAG, locked=True)
    assert unread == ()
    assert b"".join(frozen.read(snapshot.id, "/file")) == b"content"
    assert list(frozen.files(snapshot.id, "/")) == [("//file", 7)]
    assert frozen.restore(snapshot.id, tmp_path / "restored").files == 1
    assert (tmp_path / "restored" / "file").read_bytes() == b"content"
    integrity.check(frozen.access, "100%")
    assert integrity.pack_faults(frozen.access) == ()
    said = [record.message for record in caplog.records if "read without a lock" in record.message]
    assert len(said) == 1, "told once"


@pytest.mark.timeout(120)
def test_nothing_that_writes_is_even_tried(frozen: Repository) -> None:
    for write in (
        lambda: frozen.save_stream([b"x"], "x", [TAG], HOST),
        lambda: frozen.forget(["0" * 64]),
        frozen.prune,
        frozen.access.require_writable,
    ):
        with pytest.raises(ToolFailed) as caught:
            write()
        assert caught.value.message == f"the repository {frozen.access.url} cannot be written to"
        assert "mounted read-only" in caught.value.hint


def test_one_that_can_be_written_to_is_locked(repository: Repository) -> None:
    assert not repository.access.read_only
    assert "--no-lock" not in repository.access.command("dump", "x", "/y").arguments
