"""Independent work side by side, each outcome kept apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from drkit.errors import DrkitError, Interrupted
from drkit.tools import process

T = TypeVar("T")
Name = TypeVar("Name", bound=str)


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
