"""Lines in pieces, and pieces that end where lines do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.errors import RestoreDamaged
from drkit.tools import json_lines


@given(st.lists(st.integers(1, 40_000), max_size=6), st.integers(5_000, 80_000))
def test_what_was_written_is_read_however_it_is_cut(lengths: list[int], cut: int) -> None:
    lines = [b"x" * (length - 1) + b"\n" for length in lengths]
    text = b"".join(json_lines.together(lines))
    assert text == (b"".join(lines) or b"\n")
    read = list(json_lines.whole((text[at : at + cut] for at in range(0, len(text), cut)), "a list"))
    assert b"".join(read) == text
    assert all(piece.endswith(b"\n") for piece in read)


def test_a_last_line_without_an_end() -> None:
    with pytest.raises(RestoreDamaged, match=r"^a list is cut short$"):
        list(json_lines.whole([b"one\ntw"], "a list"))
