"""Who holds a lock on a repository, and whether its owner is proven to be dead.

restic takes a lock for stale where the lock bears this host's name and no such process is seen, or where it
is older than half an hour. With two containers or clones of one name, or a wrong clock, that may be a living
one. So every restic that we start leaves a record here, and holds it locked (flock) for as long as it lives:
who can lock a record knows that its restic is dead. A lock that fits no such record is left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

# These share the repository with others; a lock that shuts everybody else out is none of theirs.
_SHARING = (
    *("backup", "cat", "copy", "diff", "dump", "find", "list", "ls", "mount", "restore", "snapshots"),
    "stats",
)
# A living restic writes its lock anew every five minutes.
_REFRESHED = timedelta(minutes=10)
# Our own record is touched this often or more, see `Owner.lives`.
_TOUCHED = timedelta(seconds=60)
_BEFORE = timedelta(seconds=2)
# restic takes a lock for stale after 30 minutes; clocks may differ a little.
_STALE = timedelta(minutes=25)


@dataclass(frozen=True)
class Lock:
    """A lock as `restic cat lock` shows it."""

    id: str
    time: datetime
    exclusive: bool
    host: str
    pid: int
    user: int


@dataclass(frozen=True)
class Machine:
    """A machine since it was started last: the kernel's id of that, and its own; either may be empty."""

    boot: str
    id: str


@dataclass(frozen=True)
class Record:
    """A restic that we started: as what, and until when it was seen alive.

    `device` and `inode` are those of the record's own file: in a copy of the state directory they differ.
    """

    path: Path
    host: str
    pid: int
    user: int
    sharing: bool
    started: datetime
    boot: str
    machine: str
    device: int
    inode: int
    seen: datetime

    def fits(self, lock: Lock) -> bool:
        """Whether the lock is what this restic would have left."""
        same = (lock.host, lock.pid, lock.user) == (self.host, self.pid, self.user)
        then = self.started - _BEFORE <= lock.time <= self.seen + _TOUCHED
        return same and then and not (self.sharing and lock.exclusive)

    def is_dead(self, lock: Lock, now: datetime, here: Machine) -> bool:
        """Whether the owner of a lock that fits is dead, where nobody holds the record itself any more."""
        if self.boot and self.boot == here.boot:
            return True
        # The machine was started again. A clone of it would have the same record, but a living restic would
        # have written its lock anew.
        return bool(self.machine) and self.machine == here.id and now - lock.time > _REFRESHED


class Owner:
    """The record of one restic, from before its start until its end: a file, a name for each repository."""

    def __init__(self, directory: Path, urls: Sequence[str], verb: str) -> None:
        about: dict[str, Any] = {
            "host": platform.node(),
            "user": os.getuid(),
            "sharing": verb in _SHARING,
            "started": datetime.now(UTC).isoformat(),
            "boot": this_machine().boot,
            "machine": this_machine().id,
        }
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        hidden = directory / f".{name}"
        self.paths = tuple(directory / f"{name}.{_name_of(url)}.json" for url in urls)
        self.descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
            file = os.fstat(self.descriptor)
            about |= {"device": file.st_dev, "inode": file.st_ino}
            # A line, to which restic's process adds its number before it is restic's.
            os.write(self.descriptor, f"{json.dumps(about)}\n".encode())
            # Under these names only now: whoever looks finds it held.
            for path in self.paths:
                path.hardlink_to(hidden)
            hidden.unlink()
        except BaseException:
            os.close(self.descriptor)
            for path in (hidden, *self.paths):
                path.unlink(missing_ok=True)
            raise

    def lives(self) -> None:
        """Note that it is alive at this moment."""
        with contextlib.suppress(OSError):
            os.utime(self.descriptor)

    def ended(self, code: int | None) -> None:
        """Forget it where it ended well; else it may have left a lock, and the record will show whose."""
        for path in self.paths if code == 0 else ():
            path.unlink(missing_ok=True)
        os.close(self.descriptor)


def own(directory: Path | None, urls: Sequence[str], arguments: Sequence[str]) -> Owner | None:
    """A record for a restic that will lock these repositories; None for one that will not.

    Without a record restic runs all the same (a full disk stops no restore), but its lock is nobody's.
    """
    if directory is None or "--no-lock" in arguments:
        return None
    with contextlib.suppress(OSError):
        return Owner(directory, urls, arguments[0])
    return None


@contextlib.contextmanager
def dead_records(directory: Path | None, url: str) -> Iterator[tuple[Record, ...]]:
    """The records of our restics on a repository that ended badly; nobody else acts on them meanwhile."""
    with contextlib.ExitStack() as stack:
        found = []
        for path in sorted(directory.glob(f"*.{_name_of(url)}.json")) if directory else ():
            record = stack.enter_context(_held(path))
            if record is not None:
                found.append(record)
        yield tuple(found)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[Record | None]:
    """The record, if its restic is dead and nobody else looks at it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        record = _read(path, descriptor)
        if record is None:
            # Cut short before its restic could lock anything, or a copy, which proves nothing.
            path.unlink(missing_ok=True)
        yield record
    except OSError:
        yield None
    finally:
        os.close(descriptor)


def _read(path: Path, descriptor: int) -> Record | None:
    file = os.fstat(descriptor)
    try:
        first, _, number = os.pread(descriptor, 1 << 16, 0).partition(b"\n")
        about = json.loads(first)
        record = Record(
            path=path,
            pid=int(number),
            seen=datetime.fromtimestamp(file.st_mtime, UTC),
            **{**about, "started": datetime.fromisoformat(about["started"])},
        )
    except (ValueError, TypeError, KeyError):
        return None
    same_boot = record.boot == this_machine().boot
    same_file = record.inode == file.st_ino and (record.device == file.st_dev or not same_boot)
    return record if same_file else None


def lock_of(identity: str, text: str) -> Lock | None:
    """What `restic cat lock` says, or None where it cannot be read."""
    try:
        entry = json.loads(text)
        return Lock(
            identity,
            datetime.fromisoformat(entry["time"]),
            bool(entry.get("exclusive", False)),
            str(entry.get("hostname", "")),
            int(entry.get("pid", 0)),
            int(entry.get("uid", 0)),
        )
    except (ValueError, TypeError, KeyError):
        return None


def proven(
    records: Sequence[Record], locks: Sequence[Lock], now: datetime, here: Machine
) -> tuple[Lock, ...]:
    """The locks whose owners are dead, as the records prove.

    Where more locks than records fit each other, one of them is somebody else's: then none of them is proven.
    """
    found = []
    for lock in locks:
        fitting = [record for record in records if record.fits(lock)]
        rivals = [other for other in locks if any(record.fits(other) for record in fitting)]
        if fitting and len(rivals) <= len(fitting) and all(r.is_dead(lock, now, here) for r in fitting):
            found.append(lock)
    return tuple(found)


def only_these(dead: Sequence[Lock], locks: Sequence[Lock], now: datetime) -> bool:
    """Whether `restic unlock`, which removes all that seem stale to it, would remove none but the dead."""
    return all(lock in dead or not _may_seem_stale(lock, now) for lock in locks)


def _may_seem_stale(lock: Lock, now: datetime) -> bool:
    if now - lock.time > _STALE:
        return True
    return lock.host == platform.node() and not _process_seen(lock.pid)


def _process_seen(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def useless(records: Sequence[Record], locks: Mapping[str, Lock]) -> Iterator[Record]:
    """The records that no lock fits (any more)."""
    return (record for record in records if not any(record.fits(lock) for lock in locks.values()))


def _name_of(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


@cache
def this_machine() -> Machine:
    """The machine that this is."""
    return Machine(_line(Path("/proc/sys/kernel/random/boot_id")), _line(Path("/etc/machine-id")))


def _line(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8").strip()
    return ""
