"""How restic is called for one repository, and what its exit codes mean.

An address and the names of the files with its secrets, never a secret itself.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
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
from drkit.tools import process
from drkit.tools.command import Command, Completed, failure
from drkit.tools.restic_output import hint_for, last_words, message_in, plain, telling, words_below, words_of

log = logging.getLogger(__name__)

_LOOK_AGAIN = timedelta(seconds=5)
_COMPLAINTS = 40


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

    def command(self, *arguments: str, wait: timedelta | None = None) -> Command:
        """restic with its secrets, waiting for a lock that long: `lock_wait` where nothing is said."""
        self._look_at_password_file()
        environment = {
            **self.credentials,
            "RESTIC_REPOSITORY": self.url,
            "RESTIC_PASSWORD_FILE": str(self.password_file),
            "RESTIC_CACHE_DIR": str(self.cache),
            "RESTIC_PROGRESS_FPS": "2",
            # restic collects its garbage twice as often as Go does; a tenth of a backup's time goes there.
            "GOGC": os.environ.get("GOGC", "100"),
        }
        seconds = math.ceil((self.lock_wait if wait is None else wait).total_seconds())
        waiting = ("--retry-lock", f"{seconds}s") if seconds else ()
        return Command(("restic", *waiting, *arguments), environment)

    def check(self, command: Command) -> Completed:
        """Run it to its end, for small outputs."""
        completed = process.run(command)
        self.judge(command, completed)
        return completed

    def check_mending(self, *arguments: str) -> Completed:
        """Wait for a lock up to `lock_wait`, and remove it as soon as its owner is dead.

        A killed restic leaves its lock, which nobody need wait for; unlock removes that kind only. The owner
        may also die while we wait, or its death become known late.
        """
        end = time.monotonic() + self.lock_wait.total_seconds()
        wait = timedelta(0)
        while True:
            try:
                return self.check(self.command(*arguments, wait=wait))
            except RepositoryLocked:
                left = timedelta(seconds=end - time.monotonic())
                if left <= timedelta(0):
                    raise
                self.unlock()
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
        # There may be one for each of a million files.
        complaints: deque[str] = deque(maxlen=_COMPLAINTS)

        def ended(done: Completed) -> None:
            said = "\n".join([*complaints, *done.stderr.splitlines()])
            self.judge(command, Completed(done.code, b"", said), words_below(below) if below else ())

        for line in process.lines(command, stdin=stdin, ended=ended):
            message = message_in(line)
            match message.get("message_type"):
                case "status":
                    done = message.get("bytes_done", message.get("bytes_restored", 0))
                    listener(Update(stage, done, message.get("total_bytes"), "bytes"))
                case "summary":
                    summary = message
                case "error" | "exit_error":
                    complaints.append(words_of(message))
                case _:
                    pass
        listener(Update(stage, finished=True))
        return summary

    def unlock(self) -> None:
        """Remove locks whose owner is gone; never those of a living restic."""
        said = self.check(self.command("unlock")).text.strip()
        if said:
            log.warning("restic on %s: %s", redact(self.url), said)

    def judge(self, command: Command, completed: Completed, below: Sequence[str] = ()) -> None:
        """Turn restic's exit code into an error; an unknown code is a failure."""
        where = redact(self.url)
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
                    f"another restic holds a lock on {where}, and still did after {self.lock_wait}",
                    hint="wait for it to end; if it died, `restic unlock` removes its stale lock",
                )
            case 12:
                raise RepositoryRefused(
                    f"the repository {where} does not open with the password in {self.password_file}",
                    hint="look for the password that was written down when the repository was made",
                )
            case _:
                pass
        said = "\n".join(telling(below, [plain(line) for line in completed.stderr.splitlines()]))
        error = failure(command, Completed(completed.code, b"", said))
        raise ToolFailed(error.message, hint=hint_for(said))

    def _look_at_password_file(self) -> None:
        if not os.access(self.password_file, os.R_OK):
            raise ConfigError(
                f"cannot read the repository's password file {self.password_file}",
                hint="see password_file in [[repository]]",
            )
