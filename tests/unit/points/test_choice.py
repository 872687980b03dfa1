"""Which point is meant, where that can be said."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drkit.errors import NoSuchPoint
from drkit.model import Point, PointStatus
from drkit.points.choice import pick
from tests.samples import incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
OLDER = sealed("20261122-020000-aaaaaa", NOW - timedelta(days=2))
NEWER = sealed("20261123-020000-bbbbbb", NOW - timedelta(days=1))
KILLED = incomplete("20261124-020000-cccccc", NOW - timedelta(hours=4))
BROKEN = replace(KILLED, broken_seal="its manifest cannot be read")
FUTURE = sealed("20301124-020000-dddddd", NOW + timedelta(days=1461))


def test_the_latest_is_the_newest_sealed_point() -> None:
    assert pick("latest", [KILLED, NEWER, OLDER], NOW)[0] == NEWER
    a_little_fast = sealed("20261124-063000-eeeeee", NOW + timedelta(minutes=3))
    assert pick("latest", [a_little_fast, NEWER], NOW)[0] == a_little_fast


@pytest.mark.parametrize(
    ("newest", "why"),
    [
        (
            BROKEN,
            "it is not certain which recovery point is the newest:"
            f" point {BROKEN.id} was sealed, but its manifest cannot be read",
        ),
        (
            replace(BROKEN, status=PointStatus.UNREADABLE),
            "it is not certain which recovery point is the newest:"
            f" point {BROKEN.id} cannot be read: its manifest cannot be read",
        ),
        (
            FUTURE,
            f"recovery point {FUTURE.id} is dated in the future, so it is not certain which is the newest",
        ),
    ],
)
def test_which_is_the_latest_is_never_guessed(newest: Point, why: str) -> None:
    with pytest.raises(NoSuchPoint, match=re.escape(why)) as caught:
        pick("latest", [newest, NEWER, OLDER], NOW)
    assert caught.value.hint.endswith(f"or name another, such as {NEWER.id}")
    assert pick(NEWER.id, [newest, NEWER, OLDER], NOW)[0] == NEWER


def test_a_point_with_a_broken_seal_is_not_restored() -> None:
    with pytest.raises(NoSuchPoint, match="is never restored: its manifest cannot be read"):
        pick(BROKEN.id, [BROKEN, NEWER], NOW)
    with pytest.raises(NoSuchPoint, match=f"no sealed recovery point; point {BROKEN.id} was sealed, but its"):
        pick("latest", [BROKEN], NOW)
