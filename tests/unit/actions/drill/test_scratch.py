"""Room for a sandbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit.actions.drill import scratch
from drkit.errors import DrillError, ToolMissing
from drkit.model import Bucketed, BucketPlace, Part
from drkit.tools.restic import mount
from tests import needs
from tests.samples import manifest

SMALL = replace(
    manifest("p", datetime(2026, 11, 1, tzinfo=UTC)),
    parts=(
        Part("database", "registry", "s", "/", 1000, 10, 1.0),
        Part("database", "other", "s", "/", 10, 10, 1.0),
        Part("blobs", "blobs", "s", "/", 5000, 10, 1.0),
        Part("secrets", "secrets", "s", "/", 7, 0, 1.0),
    ),
)
HUGE = replace(SMALL, parts=(*SMALL.parts[:2], replace(SMALL.parts[2], bytes=1 << 60)))


# A header, a block, and the end.
LINKS = Part("links", "links", "s", "/", 3 << 10, 10, 1.0)
VAULTED = replace(
    HUGE,
    parts=(*HUGE.parts[:2], Part("inventory", "inventory", "s", "/", 1 << 60, 0, 1.0), LINKS),
    bucket=Bucketed(BucketPlace("a"), BucketPlace("b")),
)
EMPTY = 64 << 20


def test_dumps_count_twice_and_images_of_a_full_drill() -> None:
    clusters = EMPTY * len(SMALL.databases)
    assert scratch.needed(SMALL, "quick") == 2020 + clusters
    assert scratch.needed(SMALL, "full") == 7020 + clusters


def test_what_fits_is_restored(tmp_path: Path) -> None:
    assert not scratch.must_stream(tmp_path, SMALL, "full")
    assert not scratch.must_stream(tmp_path, HUGE, "quick")


def test_images_that_do_not_fit_are_streamed(tmp_path: Path) -> None:
    try:
        mount.look()
    except ToolMissing as error:
        needs.missing(error.message)
    assert scratch.must_stream(tmp_path, HUGE, "full")


def test_too_little_room_is_told_before_the_start(tmp_path: Path) -> None:
    dumps = replace(HUGE, parts=(replace(HUGE.parts[0], bytes=1 << 59), *HUGE.parts[1:]))
    with pytest.raises(DrillError) as caught:
        scratch.must_stream(tmp_path, dumps, "full")
    assert caught.value.message.startswith("the sandbox needs 2097152.0 TiB in ")
    assert "--level quick" in caught.value.hint


def test_blobs_of_a_vault_are_streamed_as_far_as_there_is_room_for_their_links(tmp_path: Path) -> None:
    assert scratch.must_stream(tmp_path, VAULTED, "full")
    assert scratch.streaming(VAULTED) == scratch.needed(VAULTED, "quick") + 3 * 4096
    many = replace(LINKS, bytes=1 << 60)
    with pytest.raises(DrillError, match="the sandbox needs"):
        scratch.must_stream(tmp_path, replace(VAULTED, parts=(*VAULTED.parts[:-1], many)), "full")


def test_layouts_need_the_room(tmp_path: Path) -> None:
    with pytest.raises(DrillError, match="; OCI layouts cannot be read as a stream instead"):
        scratch.must_stream(tmp_path, replace(HUGE, storage="oci"), "full")
