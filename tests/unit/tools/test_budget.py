"""A limit on the bytes that are held at once."""

from __future__ import annotations

import threading

import pytest

from drkit.errors import Interrupted
from drkit.tools.budget import Budget
from drkit.tools.process import stopping
from tests.apart import apart
from tests.unit.tools.living import soon


def test_who_wants_more_than_is_free_waits() -> None:
    budget, held = Budget(10), threading.Event()
    budget.take(8)

    def want() -> None:
        with budget.of(5):
            held.set()

    waiting = threading.Thread(target=want)
    waiting.start()
    assert not held.wait(0.05)
    budget.give(8)
    waiting.join()
    assert held.is_set()
    budget.take(10)


def test_one_that_is_larger_than_all_of_it_gets_all_of_it() -> None:
    budget = Budget(10)
    with budget.of(1000):
        pass
    budget.take(10)


def wait_and_be_interrupted() -> None:
    budget = Budget(1)
    budget.take(1)
    ended = threading.Event()

    def want() -> None:
        with pytest.raises(Interrupted):
            budget.take(1)
        ended.set()

    threading.Thread(target=want).start()
    stopping.stop_all(0)
    assert soon(ended.is_set)


def test_an_interruption_ends_the_wait() -> None:
    apart(wait_and_be_interrupted)
