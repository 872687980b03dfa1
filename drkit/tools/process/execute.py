"""Running a command to its end: fed, listened to, ended.

Both of its output pipes are drained at once, so that a chatty tool never blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import io
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from types import FrameType
from typing import IO

from drkit.errors import Interrupted, NoSpace, ToolFailed
from drkit.tools.process import children, stopping
from drkit.tools.process.children import NOTHING, PIPE, Child
from drkit.tools.process.command import Command, Completed, Owner, failure
from drkit.tools.process.stalling import StallWatch

log = logging.getLogger(__name__)

_STDERR_LINES = 40
_CHUNK = 1 << 20
_LITTLE = _CHUNK // 8
_MOMENT_SECONDS = 0.01
_TRIM_SECONDS = 0.1
_STUCK_SECONDS = 3.0


def run(command: Command, *, stdin: bytes | None = None) -> Completed:
    """Run to the end and return what it said, whatever its exit code; for small outputs."""
    with _started(command, stdin=PIPE if stdin is not None else NOTHING) as running:
        feeder = _Feeder(running, [stdin]) if stdin is not None else None
        assert running.child.stdout is not None
        completed = running.finish(running.child.stdout.read())
        if feeder:
            feeder.join()
        return completed


def check(command: Command, *, stdin: bytes | None = None) -> Completed:
    """`run`, and raise ToolFailed if the exit code is not 0."""
    completed = run(command, stdin=stdin)
    if completed.code != 0:
        raise failure(command, completed)
    return completed


def lines(
    command: Command, *, stdin: Iterable[bytes] | None = None, ended: Callable[[Completed], None]
) -> Generator[bytes, None, None]:
    """The lines of standard output as they come; `stdin` is fed at the same time.

    When the process has ended, `ended` gets its exit code and stderr, and may raise. If feeding fails
    midway the process group is killed *before* its input closes, so that the child never takes a cut
    input for a whole one; the feeding error is raised. A caller that stops early kills it as well.
    """
    with _started(command, stdin=PIPE if stdin is not None else NOTHING) as running:
        feeder = _Feeder(running, stdin) if stdin is not None else None
        assert running.child.stdout is not None
        for line in running.child.stdout:
            running.watch.heard += len(line)
            running.watch.ours = True
            yield line
            running.watch.ours = False
        if feeder:
            feeder.join()
        ended(running.finish(b""))


def into_file(command: Command, target: IO[bytes]) -> Completed:
    """Run with standard output going straight into an open file; returns whatever the exit code."""
    with _started(command, stdin=NOTHING, stdout=target) as running:
        return running.finish(b"")


def into_file_within(command: Command, target: IO[bytes], seconds: float, keep: int) -> Completed | None:
    """`into_file`, but None where it took longer than so many seconds: it was killed with its group.

    Of what it writes the first `keep` bytes are sure to be kept; of more the disk holds no more than what is
    written within a moment.
    """
    late, done = threading.Event(), threading.Event()
    with _started(command, stdin=NOTHING, stdout=target) as running:

        def end() -> None:
            late.set()
            children.signal_group(running.child, signal.SIGKILL)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        threading.Thread(target=_keep_short, args=(target.fileno(), keep, done), daemon=True).start()
        try:
            completed = running.finish(b"")
        finally:
            timer.cancel()
            done.set()
    return None if late.is_set() else completed


def _keep_short(descriptor: int, keep: int, done: threading.Event) -> None:
    """Give back, until it is done, the room of what was written behind; the writer goes on after a hole."""
    try:
        own = os.dup(descriptor)
    except OSError:
        return
    try:
        while not done.wait(_TRIM_SECONDS):
            if os.fstat(own).st_blocks * 512 > 2 * keep:
                os.ftruncate(own, keep)
    except OSError as error:
        log.debug("what a program has written cannot be cut: %s", error)
    finally:
        os.close(own)


def check_into(command: Command, target: IO[bytes]) -> None:
    """`into_file`, and raise ToolFailed if the exit code is not 0."""
    completed = into_file(command, target)
    if completed.code != 0:
        raise failure(command, completed)


def pass_through(command: Command) -> int:
    """Run to the end with our own outputs for its outputs; returns its exit code."""
    child = children.start(command, NOTHING, None, None)
    try:
        return child.wait()
    finally:
        children.kill(child)


def chunks(command: Command, *, ended: Callable[[Completed], None]) -> Iterator[bytes]:
    """Standard output in pieces of up to 1 MiB; `ended` as in `lines`.

    What is written in small pieces is let come together for a moment: to be woken for each of a million
    lines costs both sides more than the lines themselves.
    """
    with _started(command, stdin=NOTHING) as running:
        pipe = running.child.stdout
        assert isinstance(pipe, io.BufferedReader)
        with contextlib.suppress(OSError):
            # More than an ordinary user may have is refused where the machine allows less.
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK)
        while piece := pipe.read1(_CHUNK):
            running.watch.heard += len(piece)
            running.watch.ours = True
            yield piece
            running.watch.ours = False
            if len(piece) < _LITTLE:
                time.sleep(_MOMENT_SECONDS)
        ended(running.finish(b""))


def in_the_middle(frame: FrameType | None) -> bool:
    """Whether a thread or a process is just being started or ended there: an exception would lose it."""
    started = inspect.unwrap(_started)
    fragile = {threading.Thread.start.__code__, children.start.__code__, started.__code__}
    while frame is not None:
        if frame.f_code in fragile:
            return True
        frame = frame.f_back
    return False


class _Running:
    """A child whose standard error is drained, and its first and last lines kept."""

    def __init__(self, command: Command, child: Child, owner: Owner | None) -> None:
        self.child = child
        self._command = command
        # The first lines tell the reason, where a long query follows it; the last how it ended.
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_STDERR_LINES)
        self.watch = StallWatch(command, child, owner, self._latest_words)
        self._stuck, self._stuck_since = "", 0.0
        self._drain = threading.Thread(target=self._drain_stderr, daemon=True)
        self._drain.start()

    def _drain_stderr(self) -> None:
        assert self.child.stderr is not None
        # Closed here: nobody else can as long as it is read.
        with self.child.stderr as pipe:
            for line in pipe:
                self.watch.heard += len(line)
                words = self._first if len(self._first) < _STDERR_LINES else self._last
                words.append(said := line.decode("utf-8", "replace").rstrip())
                self._look_for_stuck(said)

    def _look_for_stuck(self, said: str) -> None:
        """End what says for a while that it cannot go on, and would try again for much longer."""
        why = self._command.stuck(said) if self._command.stuck else ""
        if not why or self._stuck:
            return
        now = time.monotonic()
        self._stuck_since = self._stuck_since or now
        if now - self._stuck_since >= _STUCK_SECONDS:
            self._stuck = why
            children.signal_group(self.child, signal.SIGTERM)

    def _latest_words(self) -> str:
        return ([*self._first, *self._last] or [""])[-1]

    def finish(self, output: bytes) -> Completed:
        code = self.child.wait()
        self._drain.join(self._command.last_words)
        if stopping.asked() and not self._command.tidying:
            raise Interrupted("interrupted")
        if self._stuck:
            raise NoSpace(f"{self._command.what} was ended: {self._stuck}", hint="make room and run it again")
        if self.watch.stalled:
            raise ToolFailed(
                f"{self._command.what} made no progress for {self.watch.stalled}, and was ended",
                hint="see that what it waits for answers: the repository's server or disk, the network",
            )
        return Completed(code, output, "\n".join([*self._first, *self._last]))


class _Feeder:
    """Feeds an iterable to a child's input in a thread, and keeps the first error for `join`."""

    def __init__(self, running: _Running, pieces: Iterable[bytes]) -> None:
        self._running = running
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, args=(pieces,), daemon=True)
        self._thread.start()

    def _feed(self, pieces: Iterable[bytes]) -> None:
        try:
            _write_all(self._running.child, self._awaited(pieces))
            if isinstance(pieces, Generator):
                # What makes the pieces may be a child of this very thread: it ends in order, before that.
                pieces.close()
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread by join()
            self._error = error
            children.kill(self._running.child)

    def _awaited(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces; as long as one is made, the child waits for us."""
        watch = self._running.watch
        watch.feeding = True
        for piece in pieces:
            watch.feeding = False
            yield piece
            watch.feeding = True
        watch.feeding = False

    def join(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


def _write_all(child: Child, pieces: Iterable[bytes]) -> None:
    pipe = child.stdin
    assert pipe is not None
    try:
        for piece in pieces:
            if not _write(pipe, piece):
                break
    except BaseException:
        # Killed while its input is still open: a child must not take a cut input for a whole one.
        children.kill(child)
        raise
    with contextlib.suppress(BrokenPipeError):
        pipe.close()


def _write(pipe: IO[bytes], piece: bytes) -> bool:
    """Whether the child still listens; where it has gone, its exit code says why."""
    try:
        pipe.write(piece)
    except BrokenPipeError:
        return False
    return True


@contextlib.contextmanager
def _started(command: Command, *, stdin: int, stdout: int | IO[bytes] = PIPE) -> Iterator[_Running]:
    owner = command.owner() if command.owner else None
    child: Child | None = None
    running: _Running | None = None
    try:
        child = children.start(command, stdin, stdout, PIPE, owner=owner)
        running = _Running(command, child, owner)
        yield running
    except BaseException:
        if child and not command.nothing_behind:
            children.ask_to_end(child)
        raise
    finally:
        if running:
            running.watch.over()
        if child:
            children.kill(child)
            children.close_pipes(child.stdin, child.stdout)
        if owner:
            owner.ended(child.returncode if child else None)
