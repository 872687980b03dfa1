"""The only place where a process starts.

Every child gets an explicit argument list and environment, a session of its own (so that its whole group
can be killed), and dies with drkit, even when drkit is killed with SIGKILL. Both of its output pipes are
drained at once, so that a chatty tool never blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import io
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from drkit.errors import ConfigError, Interrupted, ToolFailed, ToolMissing
from drkit.logs import redact

log = logging.getLogger(__name__)

# What a tool may need of ours; everything else is given by name.
_INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
    "RCLONE_CONFIG",
)
_STDERR_LINES = 40
_ERROR = re.compile(r"\b(error|fatal|panic)\b", re.IGNORECASE)
_CHUNK = 1 << 20
_LITTLE = _CHUNK // 8
_MOMENT_SECONDS = 0.01
_GRACE_SECONDS = 10.0
_MOUNT_FAILED = 120  # mount's own codes mean something else to restic

_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_stopping = threading.Event()
_spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")


@dataclass(frozen=True)
class Command:
    """A program with its arguments, what it needs of the environment, and as whom and where it runs.

    `mounts` are `mount` commands; what they mount is seen by this program alone, and is gone with it. A
    command that is `tidying` runs even when drkit is being interrupted: it takes away what must not stay.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    directory: Path | None = None
    mounts: tuple[tuple[str, ...], ...] = ()
    tidying: bool = False
    # What it is called in messages, where the first word is only what starts it.
    called: str = ""

    @property
    def program(self) -> str:
        """The program's bare name, for messages."""
        return self.called or Path(self.arguments[0]).name


@dataclass(frozen=True)
class Completed:
    """How a process ended: exit code (negative: killed by that signal) and what it said."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")


def find_program(name: str, *, hint: str = "") -> str:
    """The absolute path of a program on PATH; raises ToolMissing."""
    found = shutil.which(name)
    if found is None:
        raise ToolMissing(f"{name} is not installed", hint=hint or f"install the package that brings {name}")
    return found


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: a few harmless variables of ours, the C locale, and `extra`."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "LC_ALL": "C", **extra}


def run(command: Command, *, stdin: bytes | None = None) -> Completed:
    """Run to the end and return what it said, whatever its exit code; for small outputs."""
    with _started(command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL) as child:
        feeder = _Feeder(child.process, [stdin]) if stdin is not None else None
        assert child.process.stdout is not None
        completed = child.finish(child.process.stdout.read())
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
) -> Iterator[bytes]:
    """The lines of standard output as they come; `stdin` is fed at the same time.

    When the process has ended, `ended` gets its exit code and stderr, and may raise. If feeding fails
    midway the process group is killed *before* its input closes, so that the child never takes a cut
    input for a whole one; the feeding error is raised. A caller that stops early kills it as well.
    """
    with _started(command, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL) as child:
        feeder = _Feeder(child.process, stdin) if stdin is not None else None
        assert child.process.stdout is not None
        yield from child.process.stdout
        if feeder:
            feeder.join()
        ended(child.finish(b""))


def into_file(command: Command, target: IO[bytes]) -> Completed:
    """Run with standard output going straight into an open file; returns whatever the exit code."""
    with _started(command, stdin=subprocess.DEVNULL, stdout=target) as child:
        return child.finish(b"")


def pass_through(command: Command) -> int:
    """Run to the end with our own outputs for its outputs; returns its exit code."""
    process = _start(command, subprocess.DEVNULL, None, None)
    try:
        return process.wait()
    finally:
        _kill(process)


def chunks(command: Command, *, ended: Callable[[Completed], None]) -> Iterator[bytes]:
    """Standard output in pieces of up to 1 MiB; `ended` as in `lines`.

    What is written in small pieces is let come together for a moment: to be woken for each of a million
    lines costs both sides more than the lines themselves.
    """
    with _started(command, stdin=subprocess.DEVNULL) as child:
        pipe = child.process.stdout
        assert isinstance(pipe, io.BufferedReader)
        with contextlib.suppress(OSError):
            # More than an ordinary user may have is refused where the machine allows less.
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK)
        while piece := pipe.read1(_CHUNK):
            yield piece
            if len(piece) < _LITTLE:
                time.sleep(_MOMENT_SECONDS)
        ended(child.finish(b""))


def failure(command: Command, completed: Completed) -> ToolFailed:
    """The error for a tool that failed: its name, how it ended, and its last words."""
    how = (
        f"was killed by signal {-completed.code}"
        if completed.code < 0
        else f"failed with exit code {completed.code}"
    )
    words = redact(" / ".join(_last_words(completed.stderr)))
    return ToolFailed(f"{command.program} {how}: {words}" if words else f"{command.program} {how}")


def _last_words(stderr: str) -> list[str]:
    """The last three lines; where none is an error (pg_restore ends with the query), the last error."""
    lines = stderr.strip().splitlines()
    errors = [line for line in lines if _ERROR.search(line)]
    return lines[-3:] if not errors or errors[-1] in lines[-3:] else errors[-1:]


class Server:
    """A child that keeps running beside us (a sandbox's PostgreSQL or registry)."""

    def __init__(self, command: Command, log_file: Path) -> None:
        with log_file.open("ab") as output:
            # The kernel ties a child to the thread that started it: this one lives as long as drkit does.
            starting = _spawner.submit(_start, command, subprocess.DEVNULL, output, output)
            self._process = starting.result()
        self.pid = self._process.pid
        self.program = command.program
        self.log_file = log_file

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The end of its log, for an error message."""
        tail = self.log_file.read_text("utf-8", "replace").strip().splitlines()[-3:]
        return redact(" / ".join(tail))

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End it: politely with `sign`, after ten seconds by force; returns when it is gone."""
        if self.running:
            self._process.send_signal(sign)
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                log.warning("%s did not end within %.0f seconds: killed", self.program, _GRACE_SECONDS)
        _kill(self._process)


def stop_all(grace: float = _GRACE_SECONDS) -> None:
    """End every running child's process group, and let none start any more: drkit is being interrupted.

    A child that has not ended within `grace` seconds is killed.
    """
    _stopping.set()
    with _lock:
        processes = list(_running)
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        _signal_group(process, signal.SIGKILL)


def stop_if_asked() -> None:
    """Raise Interrupted if drkit is being interrupted; for long work that starts no process."""
    if _stopping.is_set():
        raise Interrupted("interrupted")


class _Child:
    def __init__(self, process: subprocess.Popen[bytes], *, tidying: bool) -> None:
        self.process = process
        self._tidying = tidying
        self._words: deque[str] = deque(maxlen=_STDERR_LINES)
        self._drain = threading.Thread(target=self._drain_stderr, daemon=True)
        self._drain.start()

    def _drain_stderr(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._words.append(line.decode("utf-8", "replace").rstrip())

    def finish(self, output: bytes) -> Completed:
        code = self.process.wait()
        self._drain.join()
        if _stopping.is_set() and not self._tidying:
            raise Interrupted("interrupted")
        return Completed(code, output, "\n".join(self._words))


class _Feeder:
    """Feeds an iterable to a child's input in a thread, and keeps the first error for `join`."""

    def __init__(self, process: subprocess.Popen[bytes], pieces: Iterable[bytes]) -> None:
        self._process = process
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, args=(pieces,), daemon=True)
        self._thread.start()

    def _feed(self, pieces: Iterable[bytes]) -> None:
        try:
            _write_all(self._process, pieces)
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread by join()
            self._error = error
            _kill(self._process)

    def join(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


def _write_all(process: subprocess.Popen[bytes], pieces: Iterable[bytes]) -> None:
    pipe = process.stdin
    assert pipe is not None
    try:
        for piece in pieces:
            if not _write(pipe, piece):
                break
    except BaseException:
        # Killed while its input is still open: a child must not take a cut input for a whole one.
        _kill(process)
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
def _started(command: Command, *, stdin: int, stdout: int | IO[bytes] = subprocess.PIPE) -> Iterator[_Child]:
    process = _start(command, stdin, stdout, subprocess.PIPE)
    try:
        yield _Child(process, tidying=command.tidying)
    except BaseException:
        _ask_to_end(process)
        raise
    finally:
        _kill(process)
        _close_pipes(process)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                pipe.close()


def _start(
    command: Command, stdin: int, stdout: int | IO[bytes] | None, stderr: int | IO[bytes] | None
) -> subprocess.Popen[bytes]:
    if _stopping.is_set() and not command.tidying:
        raise Interrupted("interrupted")
    program = find_program(command.arguments[0])
    log.debug("run %s", redact(" ".join(command.arguments)))
    # setpriv makes the kernel kill the child when the thread that started it is gone.
    guard = (find_program("setpriv", hint="it is part of util-linux"), "--pdeathsig", "KILL", "--")
    other = command.user is not None and os.geteuid() == 0
    process = subprocess.Popen(
        [*guard, *_namespace(command.mounts), program, *command.arguments[1:]],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=clean_environment(command.environment),
        cwd=command.directory,
        start_new_session=True,
        user=command.user if other else None,
        group=_primary_group(command.user) if other and command.user else None,
        extra_groups=[] if other else None,
    )
    if command.tidying:
        return process
    with _lock:
        _running.add(process)
    if _stopping.is_set():
        # stop_all came while it started, and may not have seen it.
        _kill(process)
        _close_pipes(process)
        raise Interrupted("interrupted")
    return process


def _namespace(mounts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What to put before a program that sees these mounts alone: they end with it, even after SIGKILL.

    `mount` itself gets none of the program's environment, in which secrets may be.
    """
    if not mounts:
        return ()
    unshare = find_program("unshare", hint="it is part of util-linux")
    clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C")
    steps = [f"{shlex.join((*clean, *mount))} || exit {_MOUNT_FAILED}" for mount in mounts]
    script = "\n".join([*steps, 'exec "$@"'])
    return (unshare, "--mount", "--propagation", "private", "--", "sh", "-c", script, "sh")


def in_the_middle(frame: FrameType | None) -> bool:
    """Whether a thread or a process is just being started or ended there: an exception would lose it."""
    fragile = {threading.Thread.start.__code__, _start.__code__, inspect.unwrap(_started).__code__}
    while frame is not None:
        if frame.f_code in fragile:
            return True
        frame = frame.f_back
    return False


def _primary_group(user: str) -> int:
    import pwd

    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        raise ConfigError(
            f"there is no user {user} on this machine", hint="make it, or name another"
        ) from None


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Let a child that is not needed any more take away what it would leave behind, such as a lock."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the child's whole group by force, and reap the child."""
    _signal_group(process, signal.SIGKILL)
    process.wait()
    with _lock:
        _running.discard(process)


def _signal_group(process: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, sign)
