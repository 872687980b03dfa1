"""restic, spoken over its JSON output and its exit codes (docs: restic.readthedocs.io, "Scripting").

A repository object holds an address and the names of the files with its secrets, never a secret itself.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import IO, Any

from drkit.errors import (
    ConfigError,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryRefused,
    SourceChanged,
    ToolFailed,
    ToolTooOld,
)
from drkit.logs import redact, register_secret
from drkit.progress import Listener, Update, silent, wants_totals
from drkit.tools import process
from drkit.tools.command import Command, Completed, clean_environment, failure, find_program
from drkit.tools.restic_output import (
    ListedFile,
    Node,
    Restored,
    Saved,
    Snapshot,
    files_in,
    hint_for,
    lacks,
    last_words,
    message_in,
    parse_version,
    plain,
    snapshot_of,
    telling,
    whole_lines,
    words_below,
    words_of,
)

log = logging.getLogger(__name__)

_LOOK_AGAIN = timedelta(seconds=5)

OLDEST = (0, 17, 0)
_FEATURE = "device-id-for-hardlinks"
_GET_IT = "older ones store a failed dump as if it were whole; Debian 13's package runs on Debian 12 as it is"


def version() -> tuple[int, int, int]:
    """The installed restic's version; raises ToolMissing."""
    program = find_program("restic", hint=f"restic 0.17 or later is needed; {_GET_IT}")
    return parse_version(process.check(Command((program, "version"))).text)


def require(found: tuple[int, int, int]) -> None:
    """Raise ToolTooOld where restic would store the beginning of a failed dump (before 0.17)."""
    if found < OLDEST:
        said = ".".join(map(str, found))
        raise ToolTooOld(f"restic {said} is too old: drkit needs 0.17 or later", hint=_GET_IT)


@cache
def _stable_devices() -> dict[str, str]:
    """Let restic store no device numbers, if it knows how to: each volume snapshot has another one.

    With them every directory would be stored anew each time (restic/restic#3041). A restic that does not
    know the feature any more would refuse its name.
    """
    known = process.run(Command(("restic", "features")))
    return {"RESTIC_FEATURES": f"{_FEATURE}=true"} if _FEATURE in known.text else {}


def read_credentials(path: Path | None) -> dict[str, str]:
    """The `KEY=value` lines of a credentials file; empty lines and `#` comments are passed over."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read the credentials file {path}: {error.strerror}", hint="see credentials_file"
        ) from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", key):
            raise ConfigError(
                f"{path}, line {number}: not KEY=value", hint="for example AWS_ACCESS_KEY_ID=..."
            )
        found[key] = register_secret(value.strip().strip("'\""))
    return found


@dataclass(frozen=True)
class Repository:
    """A restic repository.

    Errors of every method: RepositoryMissing, RepositoryLocked (after `lock_wait`), RepositoryRefused,
    ToolMissing, else ToolFailed.
    """

    url: str
    password_file: Path
    cache: Path
    lock_wait: timedelta = timedelta(minutes=5)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)

    def initialise(self) -> None:
        """Make the repository."""
        self._check(self._command("init"))

    def open(self) -> None:
        """Try to open it: raises the fitting error if it is missing, locked or refuses the password.

        A lock whose owner is dead is removed, so that what comes after is not stopped by it.
        """
        self._check_mending("cat", "config")

    def snapshots(self, tag: str, *, locked: bool = False) -> tuple[Snapshot, ...]:
        """The snapshots that bear a tag, oldest first.

        `locked` is for whoever goes on to work with them: it tries the repository's lock as `open` does.
        """
        wanted = ("snapshots", "--json", "--tag", tag)
        done = self._check_mending(*wanted) if locked else self._check(self._command(*wanted, "--no-lock"))
        output = done.text
        try:
            entries = json.loads(output or "[]") or []
        except ValueError:
            raise ToolFailed(f"restic's list of snapshots is no JSON: {output.strip()[:60]!r}") from None
        return tuple(sorted(map(snapshot_of, entries), key=lambda s: s.time))

    def save_command(
        self, command: Command, filename: str, tags: Sequence[str], host: str, listener: Listener = silent
    ) -> Saved:
        """Store what a command prints as one file. If the command fails, no snapshot is made.

        The command runs below restic, yet with an environment of its own: neither sees the other's secrets.
        """
        settings = clean_environment(command.environment)
        inner = ("env", "-i", *(f"{name}={value}" for name, value in settings.items()), *command.arguments)
        options = ("--stdin-from-command", "--stdin-filename", filename)
        with tempfile.TemporaryFile() as said:
            # Of what a command says just before it ends restic may lose the last: it closes its pipe at once.
            aside = ("sh", "-c", f'exec "$@" 2>>/proc/{os.getpid()}/fd/{said.fileno()}', "sh")
            try:
                return self._save(
                    (*options, "--", *aside, *inner), tags, host, filename, listener, below=said
                )
            except ToolFailed as error:
                # restic's own sentence comes last; what the command said stands before it.
                message = f"{command.program} did not finish: {error.message}"
                raise type(error)(message, hint=error.hint) from None

    def save_stream(self, pieces: Iterable[bytes], filename: str, tags: Sequence[str], host: str) -> Saved:
        """Store a stream of bytes as one file; if making the stream fails, no snapshot is made."""
        options = ("--stdin", "--stdin-filename", filename)
        return self._save(options, tags, host, filename, silent, stdin=pieces)

    def save_files(self, directory: Path, names: Sequence[str], tags: Sequence[str], host: str) -> Saved:
        """Store a few files of a directory side by side at the top of one snapshot."""
        return self._save(("--", *names), tags, host, "", silent, directory=directory)

    def save_directory(
        self,
        path: Path,
        tags: Sequence[str],
        host: str,
        *,
        excludes: Sequence[str] = (),
        compress: bool = True,
        mounts: tuple[tuple[str, ...], ...] = (),
        same_files: bool = True,
        listener: Listener = silent,
    ) -> Saved:
        """Store a directory; a file that cannot be read is a failure. Only what is new is read.

        restic alone sees the `mounts`. Without `same_files` the files are copies made for this call: their
        inode numbers and times of change tell nothing, so only size and time of content are compared.
        """
        options = [f"--exclude={pattern}" for pattern in excludes]
        options += [] if compress else ["--compression=off"]
        options += [] if same_files else ["--ignore-inode", "--ignore-ctime"]
        return self._save((*options, "--", str(path)), tags, host, str(path), listener, mounts=mounts)

    def read(self, snapshot: str, path: str) -> Iterator[bytes]:
        """The bytes of one file of a snapshot, as a stream."""
        command = self._command("dump", snapshot, path)
        yield from process.chunks(command, ended=lambda done: self._judge(command, done))

    def archive(self, snapshot: str, path: str) -> Iterator[bytes]:
        """A directory of a snapshot (`ID` or `ID:/folder`) as a tar, as a stream; its names tell the path."""
        command = self._command("dump", "--archive", "tar", snapshot, path)
        yield from process.chunks(command, ended=lambda done: self._judge(command, done))

    def nodes(self, snapshot: str, path: str = "/") -> Iterator[Node]:
        """Everything below a directory of a snapshot, names sorted bytewise, as a stream."""
        command = self._command("ls", "--json", "--recursive", snapshot, path)
        for line in process.lines(command, ended=lambda done: self._judge(command, done)):
            entry = json.loads(line)
            if entry.get("struct_type") == "node":
                yield Node(entry["path"], entry["type"], entry.get("size"))

    def files(self, snapshot: str, folder: str, *parts: str) -> Iterator[ListedFile]:
        """Path and size of every file below a directory of a snapshot, as restic walks it, as a stream.

        `parts` are names in that directory: then only what is below those. restic compares every path with
        every part, half a microsecond each: with a hundred of them it takes thrice as long for a file as
        without. A directory that is not there has no files in it.
        """
        wanted = (f"/{part}" for part in parts)
        command = self._command("ls", "--json", "--recursive", f"{snapshot}:{folder}", *wanted)

        def ended(done: Completed) -> None:
            if not (done.code == 1 and lacks(done, folder)):
                self._judge(command, done)

        for lines in whole_lines(process.chunks(command, ended=ended)):
            for path, size in files_in(lines):
                yield f"{folder}{path}", size

    def restore(
        self, snapshot: str, target: Path, *, include: Path | None = None, listener: Listener = silent
    ) -> Restored:
        """Write a snapshot (`ID` or `ID:/folder`) below `target`, with owners, modes and times.

        `include` names a file of patterns, one a line, to restore only those.
        """
        options = ("--include-file", str(include)) if include else ()
        command = self._command("restore", "--json", snapshot, "--target", str(target), *options)
        summary = self._follow(command, str(target), listener)
        return Restored(summary.get("files_restored", 0), summary.get("bytes_restored", 0))

    def forget(self, snapshots: Sequence[str]) -> None:
        """Remove snapshots by id; their data stays until `prune`."""
        for start in range(0, len(snapshots), 200):
            self._check_mending("forget", "--json", *snapshots[start : start + 200])

    def prune(self, *, everything: bool = False) -> None:
        """Remove data that no snapshot needs.

        restic leaves some (up to 5 %) where removing it costs much rewriting, unless `everything` must go.
        """
        self._check_mending("prune", *(("--max-unused=0",) if everything else ()))

    def check(self, read_data_subset: str | None = None) -> None:
        """The repository's own integrity; with a subset (`5%`, `1/7`, `2G`) reads that much data as well."""
        options = (f"--read-data-subset={read_data_subset}",) if read_data_subset else ()
        self._check_mending("check", *options)

    def unlock(self) -> None:
        """Remove locks whose owner is gone; never those of a living restic."""
        said = self._check(self._command("unlock")).text.strip()
        if said:
            log.warning("restic on %s: %s", redact(self.url), said)

    def _check_mending(self, *arguments: str) -> Completed:
        """Wait for a lock up to `lock_wait`, and remove it as soon as its owner is dead.

        A killed restic leaves its lock, which nobody need wait for; unlock removes that kind only. The owner
        may also die while we wait, or its death become known late.
        """
        end = time.monotonic() + self.lock_wait.total_seconds()
        wait = timedelta(0)
        while True:
            try:
                return self._check(self._command(*arguments, wait=wait))
            except RepositoryLocked:
                left = timedelta(seconds=end - time.monotonic())
                if left <= timedelta(0):
                    raise
                self.unlock()
                wait = min(left, _LOOK_AGAIN)

    def _save(
        self,
        what: Sequence[str],
        tags: Sequence[str],
        host: str,
        stage: str,
        listener: Listener,
        stdin: Iterable[bytes] | None = None,
        mounts: tuple[tuple[str, ...], ...] = (),
        directory: Path | None = None,
        below: IO[bytes] | None = None,
    ) -> Saved:
        # Without the scan a total is unknown; it costs a second walk, worth it only where somebody looks.
        scan = () if wants_totals(listener) and stdin is None else ("--no-scan",)
        labels = [f"--tag={tag}" for tag in tags]
        command = self._command("backup", "--json", "--host", host, *labels, *scan, *what)
        environment = {**command.environment, **_stable_devices()}
        if directory is not None and Path(self.url).exists():
            # A repository on a path that is relative to where drkit runs must stay the one that it is.
            environment["RESTIC_REPOSITORY"] = str(Path(self.url).absolute())
        command = replace(command, environment=environment, mounts=mounts, directory=directory)
        summary = self._follow(command, stage, listener, stdin, below)
        if "snapshot_id" not in summary:
            raise ToolFailed("restic ended without naming a snapshot", hint="see its messages above")
        return Saved(
            summary["snapshot_id"],
            summary["total_bytes_processed"],
            summary.get("data_added_packed", summary["data_added"]),
            summary["total_files_processed"],
            summary.get("files_unmodified", 0),
        )

    def _follow(
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
        complaints: list[str] = []

        def ended(done: Completed) -> None:
            said = "\n".join([*complaints, *done.stderr.splitlines()])
            self._judge(command, Completed(done.code, b"", said), words_below(below) if below else ())

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

    def _command(self, *arguments: str, wait: timedelta | None = None) -> Command:
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

    def _check(self, command: Command) -> Completed:
        completed = process.run(command)
        self._judge(command, completed)
        return completed

    def _look_at_password_file(self) -> None:
        if not os.access(self.password_file, os.R_OK):
            raise ConfigError(
                f"cannot read the repository's password file {self.password_file}",
                hint="see password_file in [[repository]]",
            )

    def _judge(self, command: Command, completed: Completed, below: Sequence[str] = ()) -> None:
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
