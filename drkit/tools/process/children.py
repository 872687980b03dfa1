"""Child processes: how they are started, and how they end. The only place where a process starts.

Every child gets an explicit argument list and environment, a session of its own (so that its whole group
can be killed), and dies with drkit, even when drkit is killed with SIGKILL.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import IO

from drkit.errors import ConfigError, Interrupted
from drkit.logs import redact
from drkit.tools.process import stopping
from drkit.tools.process.command import Command, Owner, clean_environment, find_program

log = logging.getLogger(__name__)

Child = subprocess.Popen[bytes]
# What an input or output is: a pipe to us, nothing, an open file, or (None) our own.
End = int | IO[bytes] | None
PIPE = subprocess.PIPE
NOTHING = subprocess.DEVNULL

_MOUNT_FAILED = 120  # mount's own codes mean something else to restic

# Each with the signal that tells it to end.
_running: dict[Child, signal.Signals] = {}
_lock = threading.Lock()


def start(command: Command, stdin: End, stdout: End, stderr: End, *, owner: Owner | None = None) -> Child:
    """Start it, for somebody who follows its life.

    Raises ToolMissing, ConfigError for its user, Interrupted if drkit is being interrupted.
    """
    if stopping.asked() and not command.tidying:
        raise Interrupted("interrupted")
    program = find_program(command.arguments[0])
    log.debug("run %s", redact(" ".join(command.arguments)))
    # setpriv makes the kernel kill the child when the thread that started it is gone.
    guard = (find_program("setpriv", hint="it is part of util-linux"), "--pdeathsig", "KILL", "--")
    other = command.user is not None and os.geteuid() == 0
    words = (program, *command.arguments[1:])
    if other and command.user and command.mounts:
        # Only root may mount: the program becomes that user once everything is mounted.
        words = (*_become(guard[0], command.user), *words)
        other = False
    child = subprocess.Popen(
        [*guard, *_noted(owner), *_namespace(command.mounts), *words],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=clean_environment(command.environment),
        cwd=command.directory,
        start_new_session=True,
        pass_fds=(owner.descriptor,) if owner else (),
        user=command.user if other else None,
        group=_primary_group(command.user) if other and command.user else None,
        extra_groups=[] if other else None,
    )
    if command.tidying:
        return child
    with _lock:
        _running[child] = command.end_signal
    if stopping.asked():
        # end_all came while it started, and may not have seen it.
        kill(child)
        close_pipes(child.stdin, child.stdout, child.stderr)
        raise Interrupted("interrupted")
    return child


def _noted(owner: Owner | None) -> tuple[str, ...]:
    """What to put before a program: it gives its owner its number before it does anything else.

    Were that written here, the program could have done much by then: other threads may hold us up.
    """
    if owner is None:
        return ()
    script = f'{{ echo "$$" >>/proc/self/fd/{owner.descriptor}; }} 2>/dev/null; exec "$@"'
    return ("sh", "-c", script, "sh")


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


def _become(setpriv: str, user: str) -> tuple[str, ...]:
    """What to put before a program that root starts for a user; the tie to drkit does not outlive that."""
    group = _primary_group(user)
    number = pwd.getpwnam(user).pw_uid
    rights = (f"--reuid={number}", f"--regid={group}", "--clear-groups", "--pdeathsig=KILL")
    return (setpriv, *rights, "--")


def _primary_group(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        raise ConfigError(
            f"there is no user {user} on this machine", hint="make it, or name another"
        ) from None


def wait(child: Child, seconds: float) -> bool:
    """Whether it ends within that time."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def ask_to_end(child: Child) -> None:
    """Let a child that is not needed any more take away what it would leave behind, such as a lock."""
    if child.poll() is None:
        signal_group(child, signal.SIGTERM)
        wait(child, stopping.GRACE_SECONDS)


def kill(child: Child) -> None:
    """End the child's whole group by force, and reap the child."""
    signal_group(child, signal.SIGKILL)
    child.wait()
    with _lock:
        _running.pop(child, None)


def end_all(grace: float) -> None:
    """End every running child's group; one that has not ended within `grace` seconds is killed."""
    with _lock:
        running = dict(_running)
    for child, sign in running.items():
        signal_group(child, sign)
    end = time.monotonic() + grace
    for child in running:
        wait(child, max(0.0, end - time.monotonic()))
        signal_group(child, signal.SIGKILL)


stopping.register(end_all)


def signal_group(child: Child, sign: signal.Signals) -> None:
    """Send a signal to the child and to all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, sign)


def close_pipes(*pipes: IO[bytes] | None) -> None:
    """Let go of pipes to a child."""
    for pipe in pipes:
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                pipe.close()
