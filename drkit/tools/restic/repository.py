"""restic, spoken over its JSON output and its exit codes (docs: restic.readthedocs.io, "Scripting").

What it takes to reach a repository stands in access.py, what restic says in output.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import IO

from drkit.errors import NotRemoved, ToolFailed, ToolTooOld
from drkit.logs import redact
from drkit.progress import Listener, silent, wants_totals
from drkit.tools.process import execute
from drkit.tools.process.command import Command, Completed, clean_environment, find_program
from drkit.tools.restic import copying, removal
from drkit.tools.restic.access import Access
from drkit.tools.restic.output import (
    ListedFile,
    Node,
    OwnedFile,
    Restored,
    Saved,
    Snapshot,
    files_in,
    lacks,
    last_words,
    owned_files_in,
    parse_version,
    snapshot_of,
    special_in,
    unread_snapshots,
    whole_lines,
)
from drkit.tools.restic.removals import Removals

OLDEST = (0, 17, 0)
# Linux takes two MiB of arguments together; an id has 64 letters.
_IN_ONE_COMMAND = 8000
_HURRIED = timedelta(seconds=20)
_FEATURE = "device-id-for-hardlinks"
_GET_IT = "older ones store a failed dump as if it were whole; Debian 13's package runs on Debian 12 as it is"


def version() -> tuple[int, int, int]:
    """The installed restic's version; raises ToolMissing."""
    program = find_program("restic", hint=f"restic 0.17 or later is needed; {_GET_IT}")
    return parse_version(execute.check(Command((program, "version"))).text)


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
    # Also where something is stored while drkit ends.
    known = execute.run(Command(("restic", "features"), tidying=True))
    return {"RESTIC_FEATURES": f"{_FEATURE}=true"} if _FEATURE in known.text else {}


@dataclass(frozen=True)
class Repository:
    """A restic repository; errors of every method as of Access."""

    access: Access

    def initialise(self) -> None:
        """Make the repository."""
        self.access.check(self.access.command("init"))

    def initialise_like(self, other: Repository) -> None:
        """Make it with the chunker parameters of another, so that both cut data into the same pieces."""
        command = self.access.command("init", "--copy-chunker-params")
        self.access.check(copying.joined(command, other.access, self.access))

    def open_at_once(self) -> None:
        """Let it open in a tenth of the time from now on, see quick_key.py.

        Only for one that was just made with a random password; whatever is raised, it opens as before.
        """
        from drkit.tools.restic import quick_key

        quick_key.make(self.access)

    def while_ending(self) -> Repository:
        """The same, for what is stored while drkit is being interrupted: it runs even then, and ends soon."""
        return Repository(replace(self.access, tidying=True, lock_wait=_HURRIED, stall_limit=_HURRIED))

    def open(self) -> str:
        """Try to open it: raises the fitting error if it is missing, locked or refuses the password.

        A lock whose owner is dead is removed, so that what comes after is not stopped by it. Returns the id.
        """
        return _in_config(self.access.check_mending("cat", "config").text, "id")

    @property
    def id(self) -> str:
        """The id that restic gave the repository when it was made."""
        return self._of_config("id")

    @property
    def chunker(self) -> str:
        """By what it cuts data into pieces."""
        return self._of_config("chunker_polynomial")

    def _of_config(self, key: str) -> str:
        return _in_config(self.access.check(self.access.command("cat", "config", "--no-lock")).text, key)

    def snapshots(self, tag: str) -> tuple[Snapshot, ...]:
        """The snapshots that bear a tag, oldest first, as far as their files can be read."""
        return self.listed(tag)[0]

    def listed(
        self, tag: str = "", *, locked: bool = False, known: Mapping[str, Snapshot] | None = None
    ) -> tuple[tuple[Snapshot, ...], tuple[str, ...]]:
        """All snapshots, or those that bear a tag, oldest first; and the ids of those that cannot be read.

        restic leaves the latter out and exits with 0; nobody knows which tags they bear. `locked` is for
        whoever goes on to work with the snapshots: it tries the repository's lock as `open` does. restic
        takes 0.2 s for that; where no lock stands there is nothing to try. What is `known` of snapshots, by
        their ids, is not asked for again (of all, without a tag): an id is the hash of what it names.
        """
        if not known:
            return self._shown(("--tag", tag) if tag else (), locked=locked)
        there = self._asked("list", "snapshots", locked=locked).text.split()
        new = [name for name in there if name not in known]
        if len(new) > _IN_ONE_COMMAND:
            return self._shown((), locked=False)
        more, unread = self._shown(new, locked=False) if new else ((), ())
        every = (*(known[name] for name in there if name in known), *more)
        return tuple(sorted(every, key=lambda s: s.time)), unread

    def _shown(self, which: Sequence[str], *, locked: bool) -> tuple[tuple[Snapshot, ...], tuple[str, ...]]:
        done = self._asked("snapshots", "--json", *which, locked=locked)
        try:
            entries = json.loads(done.text or "[]") or []
        except ValueError:
            raise ToolFailed(f"restic's list of snapshots is not JSON: {done.text.strip()[:60]!r}") from None
        every = sorted(map(snapshot_of, entries), key=lambda s: s.time)
        return tuple(every), unread_snapshots(done.stderr)

    def _asked(self, *arguments: str, locked: bool) -> Completed:
        if locked and not self.access.unlocked:
            return self.access.check_mending(*arguments)
        return self.access.check(self.access.command(*arguments, "--no-lock"))

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

    def save_files(
        self,
        directory: Path,
        names: Sequence[str],
        tags: Sequence[str],
        host: str,
        at: datetime | None = None,
    ) -> Saved:
        """Store a few files of a directory side by side at the top of one snapshot; dated `at`, or now."""
        return self._save(("--", *names), tags, host, "", silent, directory=directory, at=at)

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

    def read(self, snapshot: str, path: str, *, locked: bool = True) -> Iterator[bytes]:
        """The bytes of one file of a snapshot, as a stream.

        Not `locked` is for what can be read again: somebody may remove it meanwhile.
        """
        command = self.access.command("dump", *(() if locked else ("--no-lock",)), snapshot, path)
        yield from execute.chunks(command, ended=lambda done: self.access.judge(command, done))

    def archive(self, snapshot: str, path: str) -> Generator[bytes, None, None]:
        """A directory of a snapshot (`ID` or `ID:/folder`) as a tar, as a stream; its names tell the path."""
        command = self.access.command("dump", "--archive", "tar", snapshot, path)

        def ended(done: Completed) -> None:
            # The lines before the last say the same of each attempt.
            last = done.stderr.strip().rpartition("\n")[2].removeprefix("Fatal: ")
            self.access.judge(command, replace(done, stderr=last))

        yield from execute.chunks(command, ended=ended)

    def files(
        self, snapshot: str, folder: str, *parts: str, special: Callable[[Node], None] | None = None
    ) -> Iterator[ListedFile]:
        """Path and size of every file below a directory of a snapshot, as restic walks it, as a stream.

        `parts` are names in that directory: then only what is below those. restic compares every path with
        every part, half a microsecond each: with a hundred of them it takes thrice as long for a file as
        without. A directory that is not there has no files in it. `special` is told of each entry that is
        neither a file nor a directory.
        """
        wanted = (f"/{part}" for part in parts)
        command = self.access.command("ls", "--json", "--recursive", f"{snapshot}:{folder}", *wanted)

        def ended(done: Completed) -> None:
            if not (done.code == 1 and lacks(done, folder)):
                self.access.judge(command, done)

        for lines in whole_lines(execute.chunks(command, ended=ended)):
            if special:
                for node in special_in(lines):
                    special(replace(node, path=f"{folder}{node.path}"))
            for path, size in files_in(lines):
                yield f"{folder}{path}", size

    def owned_files(self, snapshot: str, folder: str) -> Generator[OwnedFile, None, None]:
        """Every file below a directory of a snapshot with its owner, mode and time, as a stream.

        Several times as slow as `files`. A directory that is not there has no files in it.
        """
        command = self.access.command("ls", "--json", "--recursive", f"{snapshot}:{folder}")

        def ended(done: Completed) -> None:
            if not (done.code == 1 and lacks(done, folder)):
                self.access.judge(command, done)

        for lines in whole_lines(execute.chunks(command, ended=ended)):
            yield from owned_files_in(lines)

    def restore(
        self,
        snapshot: str,
        target: Path,
        *,
        include: Path | None = None,
        exclude: str = "",
        keep: bool = False,
        listener: Listener = silent,
        stage: str = "",
    ) -> Restored:
        """Write a snapshot (`ID` or `ID:/folder`) below `target`, with owners, modes and times.

        `include` names a file of patterns, one a line, to restore only those; what fits the pattern `exclude`
        is left out. With `keep` a file that is there is left as it is, whatever is in it; of directories
        owners, modes and times are set all the same. `stage` is what the listener is told; without it, where.
        """
        command = self._restoring(snapshot, target, include, exclude, keep=keep)
        summary = self.access.follow(command, stage or str(target), listener)
        return Restored(summary.get("files_restored", 0), summary.get("bytes_restored", 0))

    def restored_files(
        self,
        snapshot: str,
        target: Path,
        *,
        keep: bool = False,
        listener: Listener = silent,
        stage: str = "",
    ) -> Generator[str, None, None]:
        """`restore`, and the path of each file below the snapshot's folder as soon as its content is written.

        Owner, mode and time follow. What is there already and stays (`keep`) is not told, nor what failed.
        """
        command = self._restoring(snapshot, target, None, "", "--verbose=2", keep=keep)
        with contextlib.closing(self.access.messages(command, stage or str(target), listener)) as messages:
            for message in messages:
                if message.get("action") == "restored":
                    yield message["item"]

    def _restoring(
        self, snapshot: str, target: Path, include: Path | None, exclude: str, *more: str, keep: bool
    ) -> Command:
        options = [
            *(("--include-file", str(include)) if include else ()),
            *(("--exclude", exclude) if exclude else ()),
            *(("--overwrite", "never") if keep else ()),
            *more,
        ]
        return self.access.command("restore", "--json", snapshot, "--target", str(target), *options)

    def copy_from(self, source: Repository, snapshots: Sequence[str], stage: str, listener: Listener) -> None:
        """Copy snapshots of another repository, see copying.py."""
        self.access.require_writable()
        copying.copy(source.access, self.access, snapshots, stage, listener)

    def forget(self, snapshots: Sequence[str]) -> None:
        """Remove snapshots by id; their data stays until `prune`. Raises NotRemoved if any is still there.

        restic's exit code does not tell: before 0.19 it is 0 where an append-only server has refused. Nor is
        there a `forget --prune` in one go: restic 0.18 then takes away the data of what it could not remove
        as well, and every later prune and check of that repository fails.
        """
        for start in range(0, len(snapshots), _IN_ONE_COMMAND):
            some = snapshots[start : start + _IN_ONE_COMMAND]
            arguments = ("forget", "--json", *some)
            completed = self.access.run_mending(*arguments)
            self._refuse_left(some, last_words(completed))
            self.access.judge(self.access.command(*arguments), completed)

    def _refuse_left(self, snapshots: Sequence[str], said: str) -> None:
        there = self._ids()
        left = tuple(snapshot for snapshot in snapshots if snapshot in there)
        if left:
            some = ", ".join(snapshot[:8] for snapshot in left[:4])
            raise NotRemoved(
                f"{len(left)} of {len(snapshots)} snapshots could not be removed from"
                f" {redact(self.access.url)} and are still there ({some}){': ' if said else ''}{said}",
                left=left,
                hint="where the repository is append-only, leave that to a host that may remove from it",
            )

    def _ids(self) -> set[str]:
        """The ids of all snapshots that are there; for those in a directory no key is needed."""
        directory = Path(self.access.url.removeprefix("local:"), "snapshots")
        if directory.is_dir():
            return {path.name for path in directory.iterdir()}
        return set(self.access.check(self.access.command("list", "snapshots", "--no-lock")).text.split())

    def removals(self) -> Removals:
        """Whether this host may remove from the repository, as far as that is known without trying."""
        return removal.look(self.access.url, self.access.credentials)

    def prune(self, *, everything: bool = False) -> None:
        """Remove data that no snapshot needs.

        restic leaves some (up to 5 %) where removing it costs much rewriting, unless `everything` must go.
        """
        self.access.check_mending("prune", *(("--max-unused=0",) if everything else ()))

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
        at: datetime | None = None,
    ) -> Saved:
        # Without the scan a total is unknown; it costs a second walk, worth it only where somebody looks.
        scan = () if wants_totals(listener) and stdin is None else ("--no-scan",)
        labels = [f"--tag={tag}" for tag in tags]
        dated = [f"--time={at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"] if at else []
        command = self.access.command("backup", "--json", "--host", host, *labels, *dated, *scan, *what)
        # restic takes the time to be that of its zone. A stream is on no device.
        devices = _stable_devices() if stdin is None else {}
        environment = {**command.environment, **devices, **({"TZ": "UTC"} if at else {})}
        if directory is not None and Path(self.access.url).exists():
            # A repository on a path that is relative to where drkit runs must stay the one that it is.
            environment["RESTIC_REPOSITORY"] = str(Path(self.access.url).absolute())
        command = replace(command, environment=environment, mounts=mounts, directory=directory)
        summary = self.access.follow(command, stage, listener, stdin, below)
        if "snapshot_id" not in summary:
            raise ToolFailed("restic ended without naming a snapshot", hint="see its messages above")
        return Saved(
            summary["snapshot_id"],
            summary["total_bytes_processed"],
            summary.get("data_added_packed", summary["data_added"]),
            summary["total_files_processed"],
            summary.get("files_unmodified", 0),
        )


def _in_config(config: str, key: str) -> str:
    """A value in what restic shows of a repository's configuration."""
    try:
        return str(json.loads(config)[key])
    except (ValueError, KeyError, TypeError):
        raise ToolFailed(
            f"restic's configuration of the repository is not understood: {config[:60]!r}"
        ) from None
