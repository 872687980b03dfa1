"""A read-only file system of drkit's own, served to the kernel by threads of this process.

It ends with drkit, also where that is killed: what is mounted then answers nobody, and waits to be unmounted.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import re
import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from drkit import tidying
from drkit.errors import DrkitError, ToolMissing
from drkit.tools.fuse import mounting, wire
from drkit.tools.fuse.wire import Child, Node, Operation, Request

log = logging.getLogger(__name__)

# So many files are read at once; each answer is 1 MiB at most.
_READERS = 16
_OLDEST_KERNEL = (5, 16)
_ENDED = (errno.ENODEV, errno.EBADF)
_NOBODY_WAITS = (errno.ENOENT, errno.EINTR)


class Reader(Protocol):
    """An open file; one thread at a time uses it."""

    def read(self, first: int, count: int) -> bytes:
        """So many bytes from one on, fewer only at the end. Raises ToolFailed."""

    def close(self) -> None:
        """Let go of it."""


class Files(Protocol):
    """What is served: it never changes. Every method may raise ToolFailed."""

    def node(self, number: int) -> Node:
        """A node that was named before; `wire.ROOT` is the top directory."""

    def child(self, number: int, name: bytes) -> Node | None:
        """What stands in a directory under a name, None where nothing does."""

    def children(self, number: int, start: int) -> Iterator[Child]:
        """What stands in a directory, from the beginning (0) or from a child's `following` on."""

    def open(self, number: int) -> Reader:
        """A file, to be read."""


class Mounted:
    """A file system that is being served, until `end`."""

    def __init__(self, files: Files, device: int) -> None:
        self._files = files
        self._device = device
        self._owner = os.getuid(), os.getgid()
        self._numbers = itertools.count(1)
        self._open: dict[int, _Open] = {}
        self._fault = ""
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(device, False)
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="fuse-reader")
        self._thread = threading.Thread(target=self._serve, name="fuse", daemon=True)
        self._thread.start()

    @property
    def gone(self) -> str:
        """Why not all that was asked of it could be answered; empty where it could."""
        return self._fault

    def end(self) -> None:
        """Answer nothing any more; whoever still waits gets an error."""
        os.close(self._woken)
        self._thread.join()
        self._pool.shutdown()
        os.close(self._wake)
        os.close(self._device)
        for each in self._open.values():
            each.close()

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._device, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._wake in ready:
                return
            try:
                data = os.read(self._device, wire.REQUEST_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in _NOBODY_WAITS:
                    continue
                self._note(f"the mount has ended: {error.strerror}")
                return
            self._take(wire.request(data))

    def _take(self, asked: Request) -> None:
        """Answer at once what only looks; what reads, or closes what is being read, waits elsewhere."""
        if asked.operation in (Operation.READ, Operation.RELEASE):
            self._pool.submit(self._answer, asked)
        elif asked.operation not in wire.UNANSWERED:
            self._answer(asked)

    def _answer(self, asked: Request) -> None:
        try:
            found = self._found(asked)
            reply = (
                wire.failure(asked.unique, found)
                if isinstance(found, int)
                else wire.answer(asked.unique, found)
            )
        except DrkitError as error:
            self._note(error.message)
            reply = wire.failure(asked.unique, errno.EIO)
        except Exception as error:  # whoever waits for an answer would wait for ever
            log.exception("a question of the kernel's cannot be answered")
            self._note(f"{type(error).__name__}: {error}")
            reply = wire.failure(asked.unique, errno.EIO)
        try:
            os.write(self._device, reply)
        except OSError as error:
            if error.errno not in (*_NOBODY_WAITS, *_ENDED):
                self._note(f"the kernel refuses an answer: {error.strerror}")

    def _found(self, asked: Request) -> bytes | int:  # noqa: PLR0911 - a line a question
        """What answers a question, or a number of errno's."""
        match asked.operation:
            case Operation.INIT:
                return wire.agreed(asked.more)
            case Operation.LOOKUP:
                child = self._files.child(asked.node, wire.name(asked.more))
                return errno.ENOENT if child is None else wire.entry(child, self._owner)
            case Operation.GETATTR:
                return wire.attributes(self._files.node(asked.node), self._owner)
            case Operation.OPEN:
                number = next(self._numbers)
                self._open[number] = _Open(self._files.open(asked.node))
                return wire.opened(number)
            case Operation.READ if self._fault:
                # Where somebody has waited in vain, nobody else shall.
                return errno.EIO
            case Operation.READ:
                handle, first, count = wire.read(asked.more)
                return self._open[handle].read(first, count)
            case Operation.RELEASE:
                self._open.pop(wire.handle(asked.more)).close()
                return b""
            case Operation.READDIR | Operation.READDIRPLUS:
                _, start, most = wire.read(asked.more)
                plus = asked.operation == Operation.READDIRPLUS
                return wire.directory(
                    self._files.children(asked.node, start), most, self._owner if plus else None
                )
            case Operation.OPENDIR:
                return wire.opened(0)
            case Operation.STATFS:
                return wire.statfs()
            case Operation.RELEASEDIR | Operation.DESTROY:
                return b""
            case _:
                return errno.ENOSYS

    def _note(self, fault: str) -> None:
        """Remember what went wrong first."""
        self._fault = self._fault or fault


class _Open:
    """An open file, and its turn: it may be closed while somebody who was killed still reads."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turn = threading.Lock()

    def read(self, first: int, count: int) -> bytes:
        with self._turn:
            return self._reader.read(first, count)

    def close(self) -> None:
        with self._turn:
            self._reader.close()


def look() -> None:
    """Raise ToolMissing where no file system of our own can be served."""
    mounting.look()
    release = os.uname().release
    found = re.match(r"(\d+)\.(\d+)", release)
    if found and (int(found[1]), int(found[2])) < _OLDEST_KERNEL:
        # It knows no file that is closed without a question, see wire.py.
        raise ToolMissing(
            f"the kernel is Linux {release}, and its FUSE too old", hint="use Linux 5.16 or later"
        )


@contextlib.contextmanager
def mounted(files: Files, target: Path) -> Iterator[Mounted]:
    """The files on a directory that is empty, for this user alone; gone when the block ends.

    Raises ToolMissing, ToolFailed.
    """
    look()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_undisturbed_at_its_end(lambda: mounting.unmount_below(target.parent)))
        found = Mounted(files, mounting.mount(target))
        stack.enter_context(_undisturbed_at_its_end(found.end))
        yield found


@contextlib.contextmanager
def _undisturbed_at_its_end(end: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        with tidying.undisturbed():
            end()
