"""A service's own copy that nobody has compared: the run after a kill does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.blobs.vault.pending_copies import PendingCopies
from drkit.blobs.vault.reading import key_of
from drkit.errors import ObjectMissing, ToolFailed, WrongBytes
from drkit.model import BucketPlace
from drkit.tools.s3.bucket import Bucket
from tests.buckets import Service

RIGHT = f"sha256:{hashlib.sha256(b'right').hexdigest()}"
WRONG = f"sha256:{hashlib.sha256(b'what it should be').hexdigest()}"
GONE = f"sha256:{'0' * 64}"
PROVEN = f"sha256:{'1' * 64}"


@pytest.fixture
def vault(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket(versions=True)) as opened:
        yield opened


def killed(doubts: PendingCopies, digest: str) -> None:
    with pytest.raises(KeyboardInterrupt), doubts.under_way(digest):
        raise KeyboardInterrupt


def test_what_was_under_way_is_hashed_and_what_is_wrong_goes(vault: Bucket, tmp_path: Path) -> None:
    doubts, place = PendingCopies(tmp_path / "copying"), BucketPlace(vault.access.bucket, "v")
    assert doubts.settle(vault, place) == 0
    for digest, content in ((RIGHT, b"right"), (WRONG, b"wrong"), (PROVEN, b"nobody doubts it")):
        vault.put(key_of(place, digest), content)
    with doubts.under_way(PROVEN):
        pass
    for digest in (RIGHT, WRONG, GONE):
        killed(doubts, digest)
    assert doubts.settle(vault, place) == 1
    assert [found.key for found in vault.listed()] == sorted(key_of(place, each) for each in (RIGHT, PROVEN))
    assert list(doubts.directory.iterdir()) == []
    assert doubts.settle(vault, place) == 0


@pytest.mark.parametrize(("error", "doubted"), [(WrongBytes, 0), (ObjectMissing, 0), (ToolFailed, 1)])
def test_what_failed_stays_in_doubt_unless_nothing_can_be_there(
    error: type[ToolFailed], doubted: int, tmp_path: Path
) -> None:
    doubts = PendingCopies(tmp_path / "copying")
    with pytest.raises(error), doubts.under_way(RIGHT):
        raise error("x")
    assert len(list(doubts.directory.iterdir())) == doubted
