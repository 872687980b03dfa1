"""One side of a merge join."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from drkit.tools.sorted_stream import SortedStream, grouped

ITEMS = [("a", 1), ("c", 2), ("d", 3), ("f", 4)]


def test_each_key_finds_its_item() -> None:
    stream = SortedStream(ITEMS, itemgetter(0))
    assert [stream.at(key) for key in "abdgh"] == [("a", 1), None, ("d", 3), None, None]


def test_a_key_may_be_asked_for_again_and_one_that_comes_too_late_is_not_found() -> None:
    stream = SortedStream(ITEMS, itemgetter(0))
    assert [stream.at(key) for key in "ccda"] == [("c", 2), ("c", 2), ("d", 3), None]


def test_what_nobody_asked_for_is_told_once() -> None:
    stream, passed = SortedStream(ITEMS, itemgetter(0)), list[tuple[str, int]]()
    for key in "bce":
        stream.at(key, passed.append)
    assert passed == [("a", 1), ("d", 3)]
    assert list(stream.rest()) == [("f", 4)]


def test_what_was_asked_for_is_no_rest() -> None:
    stream = SortedStream(ITEMS, itemgetter(0))
    assert stream.at("d") == ("d", 3)
    assert list(stream.rest()) == [("f", 4)]


def test_no_more_is_read_than_is_asked_for() -> None:
    read: list[str] = []

    def items() -> Iterator[str]:
        for item in "abcd":
            read.append(item)
            yield item

    stream = SortedStream(items(), str)
    stream.at("b")
    assert read == ["a", "b"]


def test_items_of_one_key_are_together() -> None:
    assert list(grouped("aabca", str)) == [("a", ["a", "a"]), ("b", ["b"]), ("c", ["c"]), ("a", ["a"])]
