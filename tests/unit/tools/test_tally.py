"""A count that names the first few."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from drkit.tools.tally import FIRST, Tally


def test_all_are_counted_and_the_first_are_named() -> None:
    tally = Tally[int]()
    assert not tally
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tally.add, range(1000)))
    assert (tally.count, len(tally.first)) == (1000, FIRST)


def test_how_it_reads() -> None:
    tally = Tally[str]()
    tally.add("a")
    tally.add("b")
    assert str(tally) == "a, b"
    for _ in range(FIRST + 1):
        tally.add("c")
    assert str(tally).endswith("c, c and 3 more")
