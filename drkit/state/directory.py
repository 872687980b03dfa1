"""The state directory: locks, the private directory of each run, and the sweep of what killed runs left.

locks/site.lock, site.json     who works on the site
runs/<run id>/                 private files of one run; a held `lock` says that it lives
volumes/<name>.json            volume snapshots that a run made and has not removed yet; top/ to mount them on
sandbox/<drill id>/            sandboxes, likewise (or [drill] directory)
restics/<name>.json            restics that run, or that have ended badly and may have left a lock
catalog/, cache/               copies of what stands in the repository
published/                     the status page and metrics, for the scheduler to serve
known/<repository>.json        what has been seen there: its restic id, and the sealed points
manifests.db                   what the manifests need, so that each is read once
audited.db                     the same for audits, which must not be in a backup's way
copying/                       blobs that a service copies for us and has not proven yet
read_only.json                 says that Harbor is read-only because of us
drills/<drill id>/             reports
attempts/<verb>.<id>.json      when a verb was begun and how it ended; a held lock says that it runs
crashes/                       tracebacks
machine                        the name of this state directory among all that use a repository
taken_over.json                whose points count as this machine's, and up to when
schedule.json                  when the scheduler has run each job last
scheduler.toml                 the last good configuration that it has read
timers.json                    where `timers` has put units, beside the usual places
trail.jsonl, trail-*.jsonl     the audit trail: who ran what
alarms.json                    what each target of messages knows
alarm_settings.json            whom to tell when the configuration is broken
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from drkit import tidying
from drkit.errors import ConfigError, NoSpace, SiteLocked, ToolFailed, of_system
from drkit.files import make_directory, write_once
from drkit.model import utc_now

_LOCK = "lock"
_PRIVATE = 0o600
_REMOVALS = 5


# What new_id makes.
ID = r"\d{8}-\d{6}-[0-9a-f]{6}"


def new_id(now: datetime) -> str:
    """An id that sorts by time and that two machines do not make alike: `20261124-020000-4f2a9c`."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def is_held(path: Path) -> bool:
    """Whether a living process holds this lock."""
    lock = FileLock(path, mode=_PRIVATE)
    try:
        with lock.acquire(blocking=False):
            return False
    except Timeout:
        return True


@dataclass(frozen=True)
class State:
    """The state directory of one site."""

    root: Path

    @property
    def catalog(self) -> Path:
        """Where copies of manifests stand."""
        return self.root / "catalog"

    @property
    def cache(self) -> Path:
        """restic's cache."""
        return self.root / "cache"

    @property
    def restics(self) -> Path:
        """Where it is written down which restics are ours."""
        return self.root / "restics"

    @property
    def drills(self) -> Path:
        """Where reports stand."""
        return self.root / "drills"

    @property
    def runs(self) -> Path:
        """Where runs have their private directories."""
        return self.root / "runs"

    @property
    def attempts(self) -> Path:
        """Where it stands how each attempt at a verb ended."""
        return self.root / "attempts"

    @property
    def manifests(self) -> Path:
        """What the manifests need, as far as they were read: a cache."""
        return self.root / "manifests.db"

    @property
    def audited(self) -> Path:
        """The same for audits, which run beside a backup: a cache."""
        return self.root / "audited.db"

    @property
    def published(self) -> Path:
        """Where the status page stands that the scheduler serves."""
        return self.root / "published"

    @property
    def known(self) -> Path:
        """Where it stands which points have been seen in each repository."""
        return self.root / "known"

    @property
    def read_only(self) -> Path:
        """There while drkit keeps Harbor read-only, and afterwards if it was killed."""
        return self.root / "read_only.json"

    @property
    def copying(self) -> Path:
        """Where the names of blobs stand that are being copied."""
        return self.root / "copying"

    @property
    def volumes(self) -> Path:
        """Where volume snapshots are recorded."""
        return self.root / "volumes"

    def prepare(self) -> None:
        """Make the directories; raises ConfigError where that is not possible."""
        try:
            # Others may pass through, for the sandbox's PostgreSQL runs as another user, but not look. Also
            # where somebody made it with less: everything in it that is private is so by itself.
            make_directory(self.root, 0o711, exist_ok=True)
            mode = self.root.stat().st_mode
            if mode & 0o011 != 0o011:
                self.root.chmod(stat.S_IMODE(mode) | 0o011)
            for directory in (
                self.root / "locks",
                self.runs,
                self.catalog,
                self.known,
                self.cache,
                self.drills,
                self.volumes,
            ):
                make_directory(directory, 0o700, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot use the state directory {self.root}: {error.strerror}",
                hint="set state in [site] to a directory that drkit's user may write",
            ) from None

    @property
    def machine(self) -> str:
        """The name of this state directory among all that use a repository; made once, by whoever is first.

        It is there whole or not at all: two machines without a name would take each other's runs for dead
        ones of their own. Raises OSError.
        """
        path = self.root / "machine"
        with contextlib.suppress(OSError):
            if name := path.read_text(encoding="utf-8").strip():
                return name
            # A power cut has emptied it.
            path.unlink()
        write_once(path, secrets.token_hex(8))
        return path.read_text(encoding="utf-8")

    @property
    def known_machine(self) -> str:
        """The same, where it has a name yet and that can be read; else nothing, and nothing is made."""
        with contextlib.suppress(OSError):
            return (self.root / "machine").read_text(encoding="utf-8").strip()
        return ""

    def scheduler_lock(self) -> contextlib.AbstractContextManager[None]:
        """Be the only scheduler of this site; raises SiteLocked at once if there is another."""
        return self._alone("scheduler", "another scheduler runs for this site", "stop one of them")

    @property
    def scheduler_runs(self) -> bool:
        """Whether a scheduler of this site runs at this moment."""
        path = self.root / "locks" / "scheduler.lock"
        return path.exists() and is_held(path)

    def copy_lock(self, repository: str) -> contextlib.AbstractContextManager[None]:
        """Be the only one on this machine that copies to a repository; raises SiteLocked at once if not.

        Not the site's lock: a copy may take days, and backups go on meanwhile.
        """
        said = f"another drkit copies to {repository}"
        return self._alone(f"copy-{repository}", said, "wait for it to end")

    def audit_lock(self, wait: timedelta) -> contextlib.AbstractContextManager[None]:
        """Be the only audit of this site, after `wait` at most; a backup may run at the same time."""
        return self._alone("audit", "another audit of this site is under way", "wait for it to end", wait)

    @contextlib.contextmanager
    def _alone(self, name: str, other: str, hint: str, wait: timedelta = timedelta()) -> Iterator[None]:
        lock = FileLock(self.root / "locks" / f"{name}.lock", mode=_PRIVATE)
        try:
            lock.acquire(timeout=wait.total_seconds(), poll_interval=0.2)
        except Timeout:
            raise SiteLocked(other, hint=hint) from None
        with lock:
            yield

    @property
    def busy(self) -> bool:
        """Whether a run holds the site at this moment."""
        return is_held(self.root / "locks" / "site.lock")

    @contextlib.contextmanager
    def site_lock(self, command: str, wait: timedelta) -> Iterator[None]:
        """Hold the site for this command; raises SiteLocked, saying who has it, after `wait`."""
        lock = FileLock(self.root / "locks" / "site.lock", mode=_PRIVATE)
        holder = self.root / "locks" / "site.json"
        try:
            lock.acquire(timeout=wait.total_seconds(), poll_interval=0.2)
        except Timeout:
            raise SiteLocked(
                f"another drkit works on this site: {_holder(holder)}",
                hint="wait for it to end, or raise lock_wait in [site]",
            ) from None
        try:
            record = {
                "pid": os.getpid(),
                "command": command,
                "since": utc_now().isoformat(timespec="seconds"),
            }
            with contextlib.suppress(OSError):
                # Only whoever waits for us wants to know; `expire` makes room on a full disk.
                holder.write_text(json.dumps(record), encoding="utf-8")
            yield
        finally:
            with tidying.undisturbed():
                with contextlib.suppress(OSError):
                    holder.unlink(missing_ok=True)
                lock.release()


def _holder(path: Path) -> str:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return f"`drkit {record['command']}`, process {record['pid']}, since {record['since']}"
    except (OSError, ValueError, KeyError):
        return "it does not say which"


@contextlib.contextmanager
def private_directory(parent: Path, name: str, *, passable: bool = False) -> Iterator[Path]:
    """A directory of one run's own, with a held lock in it; it is gone afterwards, whatever happens.

    0700; `passable` lets others through without letting them look (0711).
    """
    path = parent / name
    try:
        make_directory(parent, 0o711, exist_ok=True)
        make_directory(path, 0o711 if passable else 0o700)
    except OSError as error:
        if isinstance(full := of_system(error), NoSpace):
            raise full from None
        raise ConfigError(f"cannot make {path}: {error.strerror}", hint="see state in [site]") from None
    lock = FileLock(path / _LOCK, mode=_PRIVATE)
    try:
        try:
            # Within the block, for a signal may come while the lock is taken.
            lock.acquire()
            yield path
        finally:
            with tidying.undisturbed():
                remove_tree(path)
    finally:
        # Where a signal came just before that.
        remove_tree(path)
        lock.release()


def left_behind(parent: Path, ours: Callable[[str], object] = lambda _name: True) -> Iterator[Path]:
    """Directories of runs that died; one that lives holds its lock and is passed over.

    Where others may have directories too, `ours` tells ours by their names: no other is touched.
    """
    if not parent.is_dir():
        return
    for path in sorted(parent.iterdir()):
        if not ours(path.name) or path.is_symlink() or not path.is_dir():
            continue
        lock = FileLock(path / _LOCK, mode=_PRIVATE)
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError):
            continue
        try:
            yield path
        finally:
            lock.release()


def living_runs(parent: Path) -> frozenset[str]:
    """The names of the runs that have a directory there and are alive."""
    dead = {path.name for path in left_behind(parent)}
    every = {path.name for path in parent.iterdir()} if parent.is_dir() else set()
    return frozenset(every - dead)


def remove_tree(path: Path) -> None:
    """Remove a directory of ours and everything in it; raises ToolFailed if something stays.

    Another run may sweep it at the same time, or look whether it is alive: then it is tried again.
    """
    tries = 0
    while path.exists():
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            # Somebody else is removing it as well, and has been quicker.
            continue
        except OSError as error:
            tries += 1
            if tries == _REMOVALS:
                raise ToolFailed(f"cannot remove {path}: {error}", hint="remove it by hand") from None
            if isinstance(error, PermissionError):
                _make_writable(path)


def _make_writable(path: Path) -> None:
    """Restored directories may be read-only, and then an ordinary user cannot empty them."""
    for parent, directories, _ in os.walk(path):
        for name in directories:
            with contextlib.suppress(FileNotFoundError):
                Path(parent, name).chmod(0o700)
