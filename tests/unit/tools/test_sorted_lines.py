"""One line of a sorted file is found without reading the file from its beginning."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from drkit.tools.sorted_lines import SortedLines


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 2000])
def test_the_lines_from_any_one_on(tmp_path: Path, count: int) -> None:
    numbers = [2 * n for n in range(count)]
    lines = [b"%06d%s" % (n, b"x" * (n % 700)) for n in numbers]
    file = tmp_path / "lines"
    file.write_bytes(b"".join(line + b"\n" for line in lines) or b"\n")
    with contextlib.closing(SortedLines(file, "the list")) as found:
        for wanted in {-1, 0, 1, 2, 3, count - 1, count, 2 * count - 2, 2 * count - 1, 2 * count}:

            def reached(line: bytes, wanted: int = wanted) -> bool:
                return int(line[:6]) >= wanted

            assert list(found.since(reached)) == [line for line in lines if reached(line)]
