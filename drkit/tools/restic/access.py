"""How restic is called for one repository, and what its exit codes mean.

An address and the names of the files with its secrets, never a secret itself.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import IO, Any

from drkit.errors import (
    ConfigError,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryRefused,
    SourceChanged,
    ToolFailed,
)
from drkit.logs import redact
from drkit.progress import Listener, Update
from drkit.tools.process import execute
from drkit.tools.process.command import Command, Completed, failure
from drkit.tools.restic import locking
from drkit.tools.restic.locking import Lock
from drkit.tools.restic.output import (
    hint_for,
    holder,
    last_words,
    message_in,
    plain,
    reasons,
    stuck_at,
    telling,
    words_below,
    words_of,
)

log = logging.getLogger(__name__)

_LOOK_AGAIN = timedelta(seconds=5)
_COMPLAINTS = 40
_ROOM_FOR_CACHE = 32 << 20
_NO_LOCK = "--no-lock"
# restic's exit code.
_LOCKED = 11
# Commands that only read, and take a lock so that nobody removes what they read.
_READING = ("cat", "check", "dump", "find", "list", "ls", "mount", "restore", "snapshots")


@cache
def _say_once(said: str) -> None:
    log.warning("%s", said)


@dataclass(frozen=True)
class Access:
    """How a repository is reached.

    Errors of every method: RepositoryMissing, RepositoryLocked (after `lock_wait`), RepositoryRefused,
    ToolMissing, else ToolFailed.
    """

    url: str
    password_file: Path
    cache: Path
    lock_wait: timedelta = timedelta(minutes=5)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    # How long restic may move nothing; more than the quarter of an hour for which it tries again by itself.
    stall_limit: timedelta = timedelta(minutes=20)
    # Where it is written down which restics are ours; without it no lock is proven to be a dead one's.
    records: Path | None = None
    # Bytes a second; None as fast as it goes.
    upload_limit: int | None = None
    download_limit: int | None = None
    # For what is done while drkit is being interrupted.
    tidying: bool = False

    def command(self, *arguments: str, wait: timedelta | None = None) -> Command:
        """restic with its secrets, waiting for a lock that long: `lock_wait` where nothing is said."""
        self._look_at_password_file()
        arguments = self._fitting(arguments)
        environment = {
            **self.credentials,
            "RESTIC_REPOSITORY": self.url,
            "RESTIC_PASSWORD_FILE": str(self.password_file),
            "RESTIC_CACHE_DIR": str(self.cache),
            "RESTIC_PROGRESS_FPS": "2",
            # restic collects its garbage twice as often as Go does; a tenth of a backup's time goes there.
            "GOGC": os.environ.get("GOGC", "100"),
        }
        wait = self.lock_wait if wait is None else wait
        wait = timedelta(0) if _NO_LOCK in arguments else wait
        seconds = math.ceil(wait.total_seconds())
        waiting = ("--retry-lock", f"{seconds}s") if seconds else ()
        # Where its cache cannot be written restic tries again and again, for a quarter of an hour each time.
        without = ("--no-cache",) if _is_full(self.cache) else ()
        return Command(
            ("restic", *waiting, *without, *self._limits, *arguments),
            environment,
            tidying=self.tidying,
            stuck=partial(stuck_at, self.cache),
            owner=partial(locking.own, self.records, (self.url,), arguments),
            stall_limit=self.stall_limit + wait,
            about=f"{arguments[0]} on {redact(self.url)}",
        )

    @property
    def _limits(self) -> tuple[str, ...]:
        """restic counts in KiB a second, and takes 0 for no limit."""
        limits = (("--limit-upload", self.upload_limit), ("--limit-download", self.download_limit))
        return tuple(word for name, most in limits if most for word in (name, str(max(1, most >> 10))))

    @property
    def read_only(self) -> bool:
        """Whether the repository is a directory that nothing can be written to, nor any lock therefore."""
        locks = Path(self.url.removeprefix("local:")) / "locks"
        return locks.is_dir() and not os.access(locks, os.W_OK)

    @property
    def unlocked(self) -> bool:
        """Whether the repository is a directory, and nobody has a lock on it at this moment."""
        locks = Path(self.url.removeprefix("local:")) / "locks"
        with contextlib.suppress(OSError):
            return not any(locks.iterdir())
        return False

    def require_writable(self) -> None:
        """Raise ToolFailed where nothing can be written: restic itself would try for a quarter of an hour."""
        if self.read_only:
            raise ToolFailed(
                f"the repository {redact(self.url)} cannot be written to",
                hint="see whether its file system is mounted read-only, and what drkit's user may",
            )

    def _fitting(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """Without a lock where none can be made, for a command that only reads."""
        if not self.read_only or _NO_LOCK in arguments:
            return arguments
        if arguments[0] not in _READING:
            self.require_writable()
        _say_once(
            f"the repository {redact(self.url)} cannot be written to, so it is read without a lock:"
            " nobody may prune it meanwhile"
        )
        return (*arguments[:1], _NO_LOCK, *arguments[1:])

    def check(self, command: Command) -> Completed:
        """Run it to its end, for small outputs."""
        completed = execute.run(command)
        self.judge(command, completed)
        return completed

    def check_mending(self, *arguments: str) -> Completed:
        """Run it to its end as `run_mending` does; raises what its exit code means."""
        completed = self.run_mending(*arguments)
        self.judge(self.command(*arguments), completed)
        return completed

    def run_mending(self, *arguments: str) -> Completed:
        """Run it to its end, whatever it ends with but RepositoryLocked.

        Wait for a lock up to `lock_wait`, and remove those that restics of ours have left.

        A killed restic leaves its lock, which nobody need wait for, and which others would wait for in vain.
        Any other lock is for somebody else to remove, who knows its owner.
        """
        end = time.monotonic() + self.lock_wait.total_seconds()
        wait = timedelta(0)
        known: dict[str, Lock] = {}
        while True:
            self._remove_dead_locks(known)
            command = self.command(*arguments, wait=wait)
            completed = execute.run(command)
            if completed.code != _LOCKED:
                return completed
            left = timedelta(seconds=end - time.monotonic())
            if left <= timedelta(0):
                self.judge(command, completed)
            wait = min(left, _LOOK_AGAIN)

    def follow(
        self,
        command: Command,
        stage: str,
        listener: Listener,
        stdin: Iterable[bytes] | None = None,
        below: IO[bytes] | None = None,
    ) -> dict[str, Any]:
        """Run a command that reports progress as JSON lines; returns its summary.

        `below` is where a command that restic runs has said what went wrong.
        """
        summary: dict[str, Any] = {}
        for message in self.messages(command, stage, listener, stdin, below):
            if message["message_type"] == "summary":
                summary = message
        return summary

    def messages(
        self,
        command: Command,
        stage: str,
        listener: Listener,
        stdin: Iterable[bytes] | None = None,
        below: IO[bytes] | None = None,
    ) -> Generator[dict[str, Any], None, None]:
        """The same; what it says of single files, where it was asked to, and its summary, as they come."""
        # There may be one for each of a million files.
        complaints: deque[str] = deque(maxlen=_COMPLAINTS)

        def ended(done: Completed) -> None:
            said = "\n".join([*complaints, *done.stderr.splitlines()])
            self.judge(command, Completed(done.code, b"", said), words_below(below) if below else ())

        with contextlib.closing(execute.lines(command, stdin=stdin, ended=ended)) as lines:
            for line in lines:
                message = message_in(line)
                match message.get("message_type"):
                    case "status":
                        done = message.get("bytes_done", message.get("bytes_restored", 0))
                        listener(Update(stage, done, message.get("total_bytes"), "bytes"))
                    case "summary" | "verbose_status":
                        yield message
                    case "error" | "exit_error":
                        complaints.append(words_of(message))
                    case _:
                        pass
        listener(Update(stage, finished=True))

    def _remove_dead_locks(self, known: dict[str, Lock]) -> None:
        """Remove the locks of which our records prove that their owners are dead; `known` are those seen.

        restic cannot remove a single one. Where the repository is a directory here we can; elsewhere restic
        removes all that seem stale to it, if none of them is anybody else's.
        """
        with locking.dead_records(self.records, self.url) as records:
            if not records:
                return
            self._look_at_locks(known)
            now = datetime.now(UTC)
            dead = locking.proven(records, tuple(known.values()), now, locking.this_machine())
            if dead and self._remove(dead, tuple(known.values()), now):
                for lock in dead:
                    del known[lock.id]
                    log.warning(
                        "removed the lock that a killed restic of this host (process %d) has left on %s",
                        lock.pid,
                        redact(self.url),
                    )
            for record in locking.useless(records, known):
                record.path.unlink(missing_ok=True)

    def _look_at_locks(self, known: dict[str, Lock]) -> None:
        listed = self.check(self.command("list", "locks", "--no-lock", wait=timedelta(0))).text.split()
        for gone in known.keys() - set(listed):
            del known[gone]
        for name in set(listed) - known.keys():
            shown = execute.run(self.command("cat", "lock", name, "--no-lock", wait=timedelta(0)))
            # One that has gone meanwhile, or is being written, is nobody's yet.
            if shown.code == 0 and (lock := locking.lock_of(name, shown.text)):
                known[name] = lock

    def _remove(self, dead: Sequence[Lock], locks: Sequence[Lock], now: datetime) -> bool:
        """Remove these locks and no others; whether that was possible."""
        here = Path(self.url.removeprefix("local:"), "locks")
        if here.is_dir():
            for lock in dead:
                (here / lock.id).unlink(missing_ok=True)
            return True
        if not locking.only_these(dead, locks, now):
            return False
        self.check(self.command("unlock", "--no-lock", wait=timedelta(0)))
        return True

    def judge(
        self, command: Command, completed: Completed, below: Sequence[str] = (), where: str = ""
    ) -> None:
        """Turn restic's exit code into an error; an unknown code is a failure."""
        where = where or redact(self.url)
        match completed.code:
            case 0:
                return
            case 3:
                raise SourceChanged(
                    f"some files could not be read: {last_words(completed)}",
                    hint="they vanished meanwhile, or drkit's user may not read them",
                )
            case 10:
                raise RepositoryMissing(
                    f"there is no restic repository at {where}",
                    hint="make it with `drkit init`, or see that the disk or network is there",
                )
            case 11:
                raise RepositoryLocked(
                    f"{holder(completed)} holds a lock on {where}, and still did after {self.lock_wait}",
                    hint="wait for it to end; if it is surely dead, run `restic unlock` on its host",
                )
            case 12:
                raise RepositoryRefused(
                    f"the repository {where} does not open with the password in {self.password_file}",
                    hint="look for the password that was written down when the repository was made",
                )
            case _:
                pass
        words = telling(below, reasons([plain(line) for line in completed.stderr.splitlines()]))
        raise ToolFailed(failure(command, completed, words).message, hint=hint_for("\n".join(words)))

    def _look_at_password_file(self) -> None:
        if not os.access(self.password_file, os.R_OK):
            raise ConfigError(
                f"cannot read the repository's password file {self.password_file}",
                hint="see password_file in [[repository]]",
            )


def _is_full(directory: Path) -> bool:
    """Whether a directory's disk has no room for a cache; one that is not there yet has."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(directory).free < _ROOM_FOR_CACHE
    return False
