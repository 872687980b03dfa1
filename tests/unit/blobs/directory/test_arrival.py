"""Blobs are hashed as they arrive, and nothing else is touched."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from drkit.blobs.directory.arrival import hash_arriving
from drkit.errors import ToolFailed
from drkit.registry import storage
from drkit.registry.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.db")
    yield made
    made.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


def write(root: Path, data: bytes, named: bytes | None = None) -> tuple[str, str]:
    """A blob: its digest, and what restic calls it."""
    digest = f"sha256:{hashlib.sha256(data if named is None else named).hexdigest()}"
    path = storage.blob_path(root, digest)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return digest, f"/{root.relative_to(root.parent)}/{storage.blob_name(digest)}"


def test_what_is_right_is_confirmed_and_nothing_else(root: Path, ledger: Ledger) -> None:
    right, right_path = write(root, b"right")
    wrong, wrong_path = write(root, b"wrong", named=b"what it should be")
    untold, _ = write(root, b"nobody has told of it yet")
    gone, gone_path = write(root, b"gone")
    storage.blob_path(root, gone).unlink()
    paths = ["/registry", "/registry/docker", right_path, wrong_path, gone_path]
    hash_arriving((path for path in paths), root, ledger)
    assert [ledger.good(digest) for digest in (right, wrong, untold, gone)] == [True, False, False, False]


def test_a_path_that_only_ends_like_a_blobs_confirms_nothing(root: Path, ledger: Ledger) -> None:
    digest, path = write(root, b"right")
    others = [f"/elsewhere{path}", f"/registry/docker/registry/v2/repositories{path}", path.lstrip("/")]
    hash_arriving((other for other in others), root, ledger)
    assert not ledger.good(digest)


def test_a_pipe_or_a_link_in_a_blobs_place_is_not_opened(root: Path, tmp_path: Path, ledger: Ledger) -> None:
    """To read a pipe that nobody writes to would never end."""
    pipe, pipe_path = write(root, b"a pipe")
    storage.blob_path(root, pipe).unlink()
    os.mkfifo(storage.blob_path(root, pipe))
    link, link_path = write(root, b"a link")
    elsewhere = tmp_path / "elsewhere"
    storage.blob_path(root, link).replace(elsewhere)
    storage.blob_path(root, link).symlink_to(elsewhere)
    hash_arriving((path for path in (pipe_path, link_path)), root, ledger)
    assert not ledger.good(pipe)
    assert not ledger.good(link)


def test_what_ends_the_restore_is_raised_and_what_came_before_counts(root: Path, ledger: Ledger) -> None:
    digest, path = write(root, b"right")

    def paths() -> Generator[str, None, None]:
        yield path
        raise ToolFailed("restic has ended")

    with pytest.raises(ToolFailed, match="restic has ended"):
        hash_arriving(paths(), root, ledger)
    assert ledger.good(digest)
