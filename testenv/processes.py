"""The servers of a site: started in sessions of their own, found again by what they are, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

# Those that this very process started: it must reap them, and a Popen object that is dropped while its
# process runs would complain.
_children: dict[int, subprocess.Popen[bytes]] = {}


class ServerError(RuntimeError):
    """A server of the site did not start or did not stop; the message ends with its log."""


class PortTakenError(ServerError):
    """Somebody else was quicker to take the port."""


def free_ports(attempts: int = 20) -> Iterator[int]:
    """Ports on 127.0.0.1 that nobody listens on, outside the range for outgoing connections."""
    random = SystemRandom()
    for _ in range(attempts):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    pid_file: Path,
    cwd: Path,
    user: int | None = None,
    group: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Start a server that outlives this process; its output is appended to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(environment or {})},
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=[] if user is not None else None,
        )
    _children[process.pid] = process
    pid_file.write_text(f"{process.pid}\n")
    return process.pid


def find(program: str, argument: Path) -> list[int]:
    """The processes that run `program` with exactly this argument: a pid file alone may name a stranger."""

    def matches(arguments: list[str]) -> bool:
        return Path(arguments[0]).name == program and str(argument) in arguments[1:]

    return [pid for pid, arguments in _processes() if arguments and matches(arguments)]


def inside(program: str, directory: Path) -> list[int]:
    """The processes named `program` whose working directory is this one: a server's own children, too."""
    found = []
    for pid, _ in _processes():
        with contextlib.suppress(OSError):
            where = Path(f"/proc/{pid}/cwd").readlink()
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if name == program and str(where).removesuffix(" (deleted)") == str(directory):
                found.append(pid)
    return found


def wait_until(ready: Callable[[], bool], *, pid: int, log: Path, seconds: float = 60) -> None:
    """Wait for a server that `spawn` has just started; PortTakenError and ServerError carry its log's end."""
    deadline = time.monotonic() + seconds
    while not ready():
        if _children[pid].poll() is not None:
            del _children[pid]
            text = _tail(log)
            taken = "address already in use" in text.lower()
            raise (PortTakenError if taken else ServerError)(f"a server stopped at once:\n{text}")
        if time.monotonic() > deadline:
            raise ServerError(f"a server is not ready after {seconds:g} s:\n{_tail(log)}")
        time.sleep(0.02)


def stop(running: Callable[[], Iterable[int]], *, polite: signal.Signals, seconds: float = 20) -> None:
    """Ask every process that `running` finds to end, then insist; ServerError if one stays."""
    for how, patience in ((polite, seconds), (signal.SIGKILL, 10.0)):
        for pid in running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            _reap()
            if not list(running()):
                _reap_ending()
                return
            time.sleep(0.02)
    raise ServerError(f"these processes do not end: {list(running())}")


def _reap_ending() -> None:
    """One that is ending has no arguments any more, and for a moment is not yet to be waited for."""
    for pid, process in list(_children.items()):
        with contextlib.suppress(OSError):
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                process.wait()
                del _children[pid]


def _reap() -> None:
    for pid, process in list(_children.items()):
        if process.poll() is not None:
            del _children[pid]


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every process that we may look at with its arguments; a zombie has none."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                raw = (entry / "cmdline").read_bytes()
                yield int(entry.name), os.fsdecode(raw).rstrip("\0").split("\0") if raw else []


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "(no log)"
