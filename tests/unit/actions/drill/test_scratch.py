"""Room for a sandbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit.actions.drill import scratch
from drkit.errors import DrillError
from drkit.model import Part
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


def test_dumps_count_twice_and_images_of_a_full_drill() -> None:
    assert scratch.needed(SMALL, "quick") == 2020
    assert scratch.needed(SMALL, "full") == 7020


def test_too_little_room_is_told_before_the_start(tmp_path: Path) -> None:
    scratch.refuse_small(tmp_path, SMALL, "full")
    scratch.refuse_small(tmp_path, HUGE, "quick")
    with pytest.raises(DrillError) as caught:
        scratch.refuse_small(tmp_path, HUGE, "full")
    assert caught.value.message.startswith("the sandbox needs 1048576.0 TiB in ")
    assert "--level quick" in caught.value.hint
