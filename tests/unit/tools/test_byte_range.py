"""Which bytes a request asks for."""

from __future__ import annotations

import pytest

from drkit.tools import byte_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-", (0, 10)),
        ("bytes=3-", (3, 10)),
        ("bytes=3-4", (3, 5)),
        ("bytes=3-99", (3, 10)),
        ("bytes=-3", None),
        ("bytes=1-2,4-5", None),
        ("lines=1-2", None),
    ],
)
def test_ranges(header: str | None, wanted: tuple[int, int] | None) -> None:
    assert byte_range.start_of(header, 10) == wanted


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=5-4"])
def test_a_range_that_is_not_there(header: str) -> None:
    with pytest.raises(ValueError, match="bytes="):
        byte_range.start_of(header, 10)
