"""Independent work side by side, each outcome kept apart."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Generic, TypeVar

from drkit.errors import DrkitError, Failure, Interrupted, failure_of
from drkit.tools.process import stopping

T = TypeVar("T")
R = TypeVar("R")
H = TypeVar("H")
Key = TypeVar("Key")
_END = object()


def together(work: Mapping[Key, Callable[[], T]]) -> dict[Key, T | DrkitError]:
    """Run everything at once and wait for all; an item's DrkitError is its result, not the end of the rest.

    An interruption kills every child process, waits for the threads, and goes on upwards.
    """
    if not work:
        return {}
    with ThreadPoolExecutor(len(work)) as pool:
        try:
            # In here: an interruption may come while some have begun and others have not.
            futures = {key: pool.submit(_outcome, item) for key, item in work.items()}
            return {key: future.result() for key, future in futures.items()}
        except BaseException:
            stopping.stop_all()
            raise


def all_of(work: Mapping[Key, Callable[[], T]]) -> dict[Key, T]:
    """The same; once everything has ended, the first DrkitError is raised."""
    found: dict[Key, T] = {}
    for key, outcome in together(work).items():
        if isinstance(outcome, DrkitError):
            raise outcome
        found[key] = outcome
    return found


class Tasks(Generic[Key]):
    """Work that is begun piece by piece and runs side by side; one may wait for what another gives."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._begun: dict[Key, Future[object]] = {}
        self.outcomes: dict[Key, object] = {}

    def begin(self, key: Key, item: Callable[[], T]) -> Callable[[], T]:
        """Begin an item; what is returned waits for its result, or raises the DrkitError that it ended in.

        Only what was begun before may be waited for.
        """
        future = self._pool.submit(_outcome, item)
        self._begun[key] = future  # type: ignore[assignment]  # a Future of anything

        def result() -> T:
            outcome = future.result()
            if isinstance(outcome, DrkitError):
                raise outcome
            return outcome

        return result

    def wait(self) -> None:
        """Wait for everything; each result, or DrkitError, then stands in `outcomes`."""
        for key, future in self._begun.items():
            self.outcomes[key] = future.result()


@contextmanager
def side_by_side(most: int = 256) -> Iterator[Tasks[Any]]:
    """Tasks that have all ended when the block has; up to `most` at once. Interrupted as `together`."""
    with ThreadPoolExecutor(most) as pool:
        try:
            tasks: Tasks[Any] = Tasks(pool)
            yield tasks
            tasks.wait()
        except (Failure, OSError):
            # The block's own, and no interruption: all else that runs may go on.
            raise
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
    except (Failure, OSError) as error:
        return failure_of(error)


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
