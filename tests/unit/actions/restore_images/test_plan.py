"""What is in the way of a push."""

from __future__ import annotations

import pytest

from drkit.actions.restore_images.choice import Chosen
from drkit.actions.restore_images.plan import Push, refuse_doubled
from drkit.errors import UsageError

_ONE, _TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def push(source: str, *tags: tuple[str, str]) -> Push:
    return Push(Chosen(source, "library/app", tags=list(tags)))


@pytest.mark.parametrize(
    "pushes",
    [
        [push("library/app", ("v1", _ONE), ("v1", _TWO))],
        [push("library/app", ("v1", _ONE)), push("library/old", ("v1", _TWO))],
    ],
)
def test_a_tag_that_would_be_two_images(pushes: list[Push]) -> None:
    with pytest.raises(UsageError, match=r"library/app:v1 would be two images, sha256:1+ and sha256:2+"):
        refuse_doubled(pushes)


def test_the_same_image_twice_is_one() -> None:
    refuse_doubled([push("library/app", ("v1", _ONE), ("v2", _TWO)), push("library/old", ("v1", _ONE))])
