"""Links that are held while blobs are read: whatever is pushed meanwhile, what is captured is whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from drkit.blobs.directory import capture, held_links
from drkit.registry import storage
from drkit.tools.restic.repository import Repository
from tests import plain
from tests.contract.test_plain_registry import Point
from tests.plain import Plain

# Each look at a directory of links lets one more be pushed, which makes more directories.
ENOUGH = 40


@pytest.fixture
def production() -> Iterator[Plain]:
    # A socket needs a short name.
    short = Path(tempfile.mkdtemp(prefix="drkit-held-", dir="/var/tmp"))
    with plain.running(short) as made:
        made.image("app", "v0", b"a layer")
        yield made
    shutil.rmtree(short)


def test_what_is_pushed_between_two_links_tears_nothing(
    repository: Repository, production: Plain, tmp_path: Path
) -> None:
    pushed: list[str] = []

    def push() -> None:
        number = len(pushed)
        layer = b"a layer" if number % 2 else f"layer {number}".encode()
        # Of every other one all bytes are there, and only links are new.
        pushed.append(production.image(f"app/{number % 3}", f"v{number % 5}", layer))
        production.image("app", f"v{number}", layer)

    def order(directory: PurePosixPath, names: list[str]) -> list[str]:
        if len(pushed) < ENOUGH:
            push()
        return capture.reading_order(directory, names)

    copy = tmp_path / "links"
    with held_links.held(production.root, copy, order) as mounts:
        assert len(pushed) == ENOUGH
        late = production.image("app/late", "v1", b"a late layer")
        point = Point(repository, production, tmp_path, mounts)
    assert not copy.exists()
    assert point.failed() == set()
    assert point.closure.whole
    assert point.closure.dangling == 0
    tags = {(tag.repository, tag.name) for tag in storage.tags(point.root)}
    assert ("app", "v0") in tags
    assert ("app/late", "v1") not in tags
    restored = point.root / production.data(late).relative_to(production.root)
    assert restored.is_file(), "blobs are read afterwards"


def test_where_links_cannot_be_copied_they_are_read_live(
    production: Plain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = tmp_path / "none/links"
    with held_links.held(production.root, nowhere, capture.reading_order) as mounts:
        assert mounts == ()
    assert "the links were not copied before the blobs were read" in caplog.text
