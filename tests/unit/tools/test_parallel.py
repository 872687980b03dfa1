"""Work side by side whose results come in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from drkit.errors import ToolFailed
from drkit.tools.parallel import in_order


def test_results_come_in_the_items_order() -> None:
    def work(number: int) -> int:
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number * 2

    assert list(in_order(range(50), work, 4)) == [number * 2 for number in range(50)]


def test_several_are_at_work_at_once() -> None:
    together = threading.Barrier(3, timeout=20)
    assert list(in_order("abc", lambda _: together.wait() >= 0, 3)) == [True] * 3


def test_few_items_are_held() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1_000):
            taken = number + 1
            yield number

    results = in_order(items(), lambda number: number, 2)
    assert next(results) == 0
    assert taken <= 8
    results.close()


def test_an_error_comes_in_its_place() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ToolFailed("no")
        return number

    results = in_order(range(10), work, 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ToolFailed):
        next(results)
