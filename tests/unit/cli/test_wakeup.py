"""A signal that has not woken the main thread; in a process of its own, whose main thread this is."""

from __future__ import annotations

import signal
import threading

import pytest

from drkit.cli import wakeup
from drkit.errors import Interrupted
from tests.apart import apart


def interrupt(_number: int, _frame: object) -> None:
    raise Interrupted("interrupted")


def wait_for_a_thread_that_got_the_signal() -> None:
    signal.signal(signal.SIGTERM, interrupt)
    wakeup.ensure()
    wakeup.ensure()
    waits, over = threading.Event(), threading.Event()

    def get_the_signal() -> None:
        waits.wait()
        # To this very thread: the main one goes on waiting.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Thread(target=get_the_signal)
    thread.start()
    waits.set()
    with pytest.raises(Interrupted):
        over.wait()
    thread.join()


@pytest.mark.timeout(60)
def test_a_signal_ends_a_wait_that_it_has_not_met() -> None:
    apart(wait_for_a_thread_that_got_the_signal)
