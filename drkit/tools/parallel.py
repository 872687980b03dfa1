"""Independent work side by side, each outcome kept apart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from drkit.errors import DrkitError, Interrupted
from drkit.tools import process

T = TypeVar("T")
Name = TypeVar("Name", bound=str)
_END = object()


def together(work: Mapping[Name, Callable[[], T]]) -> dict[Name, T | DrkitError]:
    """Run everything at once and wait for all; an item's DrkitError is its result, not the end of the rest.

    An interruption kills every child process, waits for the threads, and goes on upwards.
    """
    if not work:
        return {}
    with ThreadPoolExecutor(len(work)) as pool:
        futures = {name: pool.submit(_outcome, item) for name, item in work.items()}
        try:
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            process.stop_all()
            raise


def _outcome(item: Callable[[], T]) -> T | DrkitError:
    try:
        return item()
    except Interrupted:
        raise
    except DrkitError as error:
        return error


def for_each(items: Iterable[T], work: Callable[[T], object], workers: int) -> None:
    """Do the work on every item with several threads; no more items are held than there are threads.

    The first error ends it, when the items under way are done, and is raised.
    """
    source = iter(items)
    turn = threading.Lock()
    broken = threading.Event()

    def take() -> Iterator[T]:
        while not broken.is_set():
            with turn:
                item = next(source, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]  # _END has just been ruled out

    def loop(_number: int) -> None:
        try:
            for item in take():
                work(item)
        except BaseException:
            broken.set()
            raise

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(loop, range(workers)))
