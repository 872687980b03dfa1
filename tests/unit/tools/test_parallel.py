"""Work side by side: in which order results come, what an error ends, and an interruption."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest

from drkit.errors import ToolFailed
from drkit.tools.parallel import for_each, for_each_with, in_order, side_by_side


def test_results_come_in_the_items_order() -> None:
    def work(number: int) -> int:
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number * 2

    assert list(in_order(range(50), work, 4)) == [number * 2 for number in range(50)]


def test_several_are_at_work_at_once() -> None:
    together = threading.Barrier(3, timeout=60)
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


def test_each_thread_has_a_helper_of_its_own() -> None:
    opened: list[int] = []
    closed: list[int] = []
    used: list[int] = []
    both = threading.Barrier(2, timeout=60)

    @contextlib.contextmanager
    def helper() -> Iterator[int]:
        number = threading.get_ident()
        opened.append(number)
        yield number
        closed.append(number)

    def work(number: int, _item: int) -> None:
        both.wait()
        used.append(number)

    for_each_with(range(4), helper, work, 2)
    assert len(opened) == 2
    assert set(opened) == set(closed) == set(used)


def test_after_an_error_nothing_new_is_begun() -> None:
    begun: list[int] = []
    failed = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            failed.set()
            raise ToolFailed("no")
        failed.wait(60)
        time.sleep(0.2)

    with pytest.raises(ToolFailed):
        for_each(range(100), work, 2)
    assert len(begun) <= 3


@pytest.mark.parametrize("way", ["list(in_order([1, 2, 3], hang, 2))", "for_each([1, 2, 3], hang, 2)"])
def test_an_interruption_ends_what_the_others_wait_for(way: str) -> None:
    """In a process of its own, whose main thread a signal meets while it waits."""
    script = """
        import os, signal
        from drkit.errors import Interrupted
        from drkit.tools.process import execute
        from drkit.tools.process.command import Command
        from drkit.tools.parallel import for_each, in_order

        def interrupt(number, frame):
            raise Interrupted("interrupted")

        signal.signal(signal.SIGUSR1, interrupt)

        def hang(number):
            command = Command(("sh", "-c", "echo; exec sleep 1000"))
            for line in execute.lines(command, ended=lambda done: None):
                if number == 2:
                    os.kill(os.getpid(), signal.SIGUSR1)

        try:
            WAY
        except Interrupted:
            print("ok")
    """
    command = [sys.executable, "-c", textwrap.dedent(script).replace("WAY", way)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_an_interruption_while_all_this_is_begun() -> None:
    """What has begun by then is ended all the same; in a process of its own, as above."""
    script = """
        import threading
        from drkit.errors import Interrupted
        from drkit.tools.process import execute
        from drkit.tools.process.command import Command
        from drkit.tools.parallel import together

        begun = threading.Event()

        def hang():
            command = Command(("sh", "-c", "echo; exec sleep 1000"))
            for line in execute.lines(command, ended=lambda done: None):
                begun.set()

        class Work(dict):
            def items(self):
                yield "first", hang
                begun.wait()
                raise Interrupted("interrupted")

        try:
            together(Work(first=hang))
        except Interrupted:
            print("ok")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_a_task_waits_for_what_another_gives() -> None:
    with side_by_side() as tasks:
        listed = tasks.begin("list", lambda: "listed" if not threading.Event().wait(0.05) else "")
        tasks.begin("use", lambda: f"used what was {listed()}")
    assert tasks.outcomes == {"list": "listed", "use": "used what was listed"}


def test_who_waits_for_a_task_that_failed_ends_in_its_error() -> None:
    lost = ToolFailed("nothing to list")

    def fail() -> str:
        raise lost

    with side_by_side() as tasks:
        listed = tasks.begin("list", fail)
        tasks.begin("use", listed)
        tasks.begin("other", lambda: 1)
    assert tasks.outcomes == {"list": lost, "use": lost, "other": 1}


def test_what_is_begun_has_ended_when_the_block_has() -> None:
    ended = threading.Event()

    def slow() -> None:
        time.sleep(0.1)
        ended.set()

    def broken() -> None:
        with side_by_side() as tasks:
            tasks.begin("slow", slow)
            raise ToolFailed("no")

    # Any other would be a crash, which ends all that drkit does in this process.
    with pytest.raises(ToolFailed):
        broken()
    assert ended.is_set()


_OWN_ERROR = """
from drkit.errors import ToolFailed
from drkit.tools.parallel import side_by_side
from drkit.tools.process import stopping

done = []
try:
    with side_by_side() as tasks:
        tasks.begin("beside", lambda: done.append(True))
        raise ToolFailed("the block's own")
except ToolFailed as error:
    print(error.message, done, stopping.asked())
"""


def test_an_error_of_the_block_interrupts_nobody_else() -> None:
    """In a process of its own: that drkit is interrupted is never taken back."""
    ended = subprocess.run([sys.executable, "-c", _OWN_ERROR], check=True, capture_output=True, text=True)
    assert ended.stdout == "the block's own [True] False\n"
