"""A private PostgreSQL: its own directory, a Unix socket and no network, gone when the block ends."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import ConfigError, DatabaseUnreachable, ToolFailed
from drkit.sandbox.hiding import NOTHING_HIDDEN, Hidden
from drkit.tools.postgres import sessions
from drkit.tools.postgres.programs import Programs
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.tools.process.server import Server

_SOCKET = ".s.PGSQL.5432"
# sockaddr_un holds 108 bytes, the closing zero included.
_LONGEST_SOCKET = 107
_PATIENCE_SECONDS = 60.0
# key, shmid, perms, size, cpid, lpid, nattch, ...
_SEGMENTS = Path("/proc/sysvipc/shm")
# The kernel tells the key with a sign, PostgreSQL without.
_KEY_BITS = 0xFFFF_FFFF
_SETTINGS = {
    # Nothing here must survive anything, so nothing waits for a disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "jit": "off",
    "listen_addresses": "",
}


@contextlib.contextmanager
def running(
    programs: Programs, directory: Path, user: str, superuser: str, hidden: Hidden = NOTHING_HIDDEN
) -> Iterator[Target]:
    """A server of that major version below `directory`, for as long as the block lasts.

    As root it runs as `user`, since PostgreSQL refuses root. `superuser` is the name of its first role: that
    of the server that was dumped, so that what it owned finds its owner.

    It sees nothing of what is `hidden`. Raises ConfigError, ToolFailed.
    """
    home = make_home(directory, account(user))
    data = home / "data"
    initialise = (programs.program("initdb"), f"--pgdata={data}", f"--username={superuser}", "--auth=trust")
    options = ("--encoding=UTF8", "--no-locale", "--no-sync")
    execute.check(Command((*initialise, *options), user=user, directory=home))
    words = (programs.program("postgres"), "-D", str(data), *arguments(home))
    # An immediate shutdown: there is nothing to save, and a polite one would wait for our own sessions.
    command = Command(words, user=user, directory=home, mounts=hidden.mounts, end_signal=signal.SIGQUIT)
    server = Server(command, directory / "postgres.log")
    try:
        target = reached(home, superuser)
        _wait(server, target)
        hidden.prove(server.pid)
        yield target
    finally:
        server.stop()


def arguments(home: Path) -> tuple[str, ...]:
    """The server's settings, as words of its command line."""
    settings = {**_SETTINGS, "unix_socket_directories": str(home / "s")}
    return tuple(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))


def reached(home: Path, superuser: str) -> Target:
    """How a server with that home is reached."""
    return Target({"host": str(home / "s"), "user": superuser, "dbname": "postgres"})


def make_home(directory: Path, owner: tuple[int, int] | None) -> Path:
    """Where a server's data and socket go, for a user and group (None: ourselves)."""
    home = directory / "pg"
    if len(str(home / "s" / _SOCKET)) > _LONGEST_SOCKET:
        raise ConfigError(
            f"the sandbox path {home} is too long for a Unix socket",
            hint="set directory in [drill] to a shorter one",
        )
    for path in (home, home / "s"):
        path.mkdir(mode=0o700)
        if owner:
            os.chown(path, *owner)
    return home


def account(user: str) -> tuple[int, int] | None:
    """The ids of the user that servers run as, None for ourselves; raises ConfigError where nobody is."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(
            f'there is no user "{user}" to run the sandbox\'s PostgreSQL as',
            hint="PostgreSQL refuses root: name an ordinary user as user in [drill]",
        ) from None
    return found.pw_uid, found.pw_gid


def _wait(server: Server, target: Target) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        if not server.running:
            raise ToolFailed(f"the sandbox's PostgreSQL did not start: {server.last_words()}")
        try:
            with sessions.connect(target):
                return
        except DatabaseUnreachable:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def release_memory(sandbox: Path) -> None:
    """Remove the shared memory segments that killed servers of this sandbox left.

    Line 7 of postmaster.pid holds a segment's key and id (PostgreSQL's miscinit.h). After an orderly end, or
    a restart of the machine, it is gone, and its id may be another server's: so both must agree with what the
    kernel says, and nobody may use it.
    """
    unused = _unused_segments()
    for file in sandbox.glob("*/pg/data/postmaster.pid"):
        try:
            key, segment = file.read_text(encoding="utf-8").splitlines()[6].split()
        except (OSError, ValueError, IndexError):
            continue
        if (int(key) & _KEY_BITS, segment) in unused:
            execute.run(Command(("ipcrm", "--shmem-id", segment)))


def _unused_segments() -> set[tuple[int, str]]:
    """(key, id) of every System V shared memory segment that no process is attached to."""
    try:
        lines = _SEGMENTS.read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return set()
    found = [line.split() for line in lines]
    return {(int(words[0]) & _KEY_BITS, words[1]) for words in found if words[6] == "0"}
