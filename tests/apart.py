"""Work in a process of its own: to interrupt it interrupts nobody else's servers and sessions."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import ParamSpec

P = ParamSpec("P")


def apart(work: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> None:
    """Do the work in a new process; fails with the traceback of whatever it raises there.

    A new one and no copy of this: a copy would have the servers of other tests among what it has to end.
    """
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(writer, work, arguments, named))
    process.start()
    writer.close()
    said = reader.recv()
    process.join()
    assert not said, said


def _work(
    writer: Connection, work: Callable[..., object], arguments: tuple[object], named: dict[str, object]
) -> None:
    said = ""
    try:
        work(*arguments, **named)
    except BaseException:  # noqa: BLE001 - told by whoever waits
        said = traceback.format_exc()
    writer.send(said)
