"""Independent work side by side, each outcome kept apart."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from drkit.errors import DrkitError, Interrupted
from drkit.tools import stopping

T = TypeVar("T")
R = TypeVar("R")
H = TypeVar("H")
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
            stopping.stop_all()
            raise


@contextmanager
def _interrupted(end: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Where the caller waits for threads: interrupted, it ends what they wait for, or it would wait on."""
    try:
        yield
    except Interrupted:
        end()
        stopping.stop_all()
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
    for_each_with(items, nullcontext, lambda _nothing, item: work(item), workers)


def for_each_with(
    items: Iterable[T],
    helper: Callable[[], AbstractContextManager[H]],
    work: Callable[[H, T], object],
    workers: int,
) -> None:
    """The same, where each thread has a helper of its own for all that it does: a session, say."""
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
            with helper() as own:
                for item in take():
                    work(own, item)
        except BaseException:
            broken.set()
            raise

    with ThreadPoolExecutor(workers) as pool, _interrupted(broken.set):
        list(pool.map(loop, range(workers)))


def in_order(items: Iterable[T], work: Callable[[T], R], workers: int) -> Generator[R, None, None]:
    """The results of the work on every item, in the items' order, with several threads at work ahead.

    Four items a thread are held at most. The first error is raised in its place; what was begun ends first.
    """
    ahead: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool, _interrupted():
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) >= 4 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
