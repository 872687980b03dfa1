"""Everything that others could see of a run: arguments and environments, outputs, files.

Two ways to see it. Programs put first on PATH write down how they were called, and which files the run has
then: that misses nothing that drkit starts, and what must have been seen is taken from there alone. A thread
looks through /proc and the files again and again: it sees what those programs start in their turn, and misses
what is short.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import processes
from tests.e2e.commands import Drkit, Ended, finish

_WRAPPED = ("setpriv", "restic", "env")
# Three records a start, of lines: words and environment; the run's files; and of the file to log in with its
# mode, the mode of the run's directory, and its path.
_WRAPPER = """\
#!/bin/bash
record={seen}/$$-${{0##*/}}-$RANDOM
{{ printf '%s\\n' "$0" "$@"; /usr/bin/tr '\\0' '\\n' </proc/$$/environ; }} >"$record.words"
/usr/bin/find {places} {hidden} -prune -o -type f -print >"$record.files" 2>/dev/null
for word in "PGPASSFILE=${{PGPASSFILE-}}" "$@"; do
  file=${{word#PGPASSFILE=}}
  if [[ "$word" == PGPASSFILE={runs}/* ]]; then
    below=${{file#{runs}/}}
    echo "$(/usr/bin/stat -c %a "$file" "{runs}/${{below%%/*}}" | /usr/bin/tr '\\n' ' ')$file"
  fi
done >"$record.logins"
exec {program} "$@"
"""
# A server's own files, restored blobs, and copies of both.
_HIDDEN = ("pg", "blobs", "controls")


@dataclass
class Watch:
    """What was seen of one run, and the files that it had meanwhile: open to all, private, to log in with.

    The programs, the names of its files and what there was to log in with are recorded, and so complete for
    whatever lasts as long as a program; words are recorded and looked for; content is looked for.
    """

    programs: set[str] = field(default_factory=set)
    names: set[Path] = field(default_factory=set)
    words: set[bytes] = field(default_factory=set)
    open_files: dict[Path, bytes] = field(default_factory=dict)
    private_files: dict[Path, bytes] = field(default_factory=dict)
    login_files: dict[Path, tuple[int, int]] = field(default_factory=dict)
    ended: Ended = field(default_factory=lambda: Ended(-1, "", ""))


class Watcher:
    """Runs commands of a drkit under watch."""

    def __init__(self, drkit: Drkit, directory: Path) -> None:
        self._seen = directory / "seen"
        programs = directory / "bin"
        self.scratch = directory / "tmp"
        for made in (directory, self._seen, programs, self.scratch):
            made.mkdir()
        self._seen.chmod(0o1777)
        self.scratch.chmod(0o1777)
        runs = drkit.state / "runs"
        hidden = " -o ".join(f"-name {name}" for name in _HIDDEN)
        for name in _WRAPPED:
            path = programs / name
            path.write_text(
                _WRAPPER.format(
                    seen=self._seen,
                    places=f"{runs} {drkit.sandboxes}",
                    hidden=f"'(' {hidden} ')'",
                    runs=runs,
                    program=_elsewhere(name),
                )
            )
            path.chmod(0o755)
        path_variable = f"{programs}:{os.environ['PATH']}"
        self.drkit = drkit.in_environment(PATH=path_variable, TMPDIR=str(self.scratch))

    def run(self, *words: str) -> Watch:
        """Run a command to its end, and tell what was to be seen."""
        watch = Watch()
        process = self.drkit.start("--verbose", *words)
        looking = threading.Thread(target=self._look, args=(process.pid, watch))
        looking.start()
        watch.ended = finish(process)
        looking.join()
        for record in self._seen.iterdir():
            _add(record, watch)
            record.unlink()
        return watch

    def _look(self, pid: int, watch: Watch) -> None:
        while Path(f"/proc/{pid}").exists():
            found = processes.family(pid)
            for process in found:
                watch.words |= {process.arguments, process.environment}
            if not found or not found[0].arguments:
                return
            for place in (self.drkit.state / "runs", self.drkit.sandboxes):
                watch.open_files |= dict(open_to_others(place))
                watch.private_files |= dict(private(place))
            time.sleep(0.02)


def _add(record: Path, watch: Watch) -> None:
    """Add what a program has written down when it was started."""
    content = record.read_bytes()
    lines = os.fsdecode(content).splitlines()
    match record.suffix:
        case ".words":
            watch.words.add(content)
            named = [Path(line) for line in lines if line.startswith("/")]
            watch.programs |= {path.name for path in named if path.is_file() and os.access(path, os.X_OK)}
        case ".files":
            watch.names |= set(map(Path, lines))
        case _:
            for line in lines:
                file, directory, path = line.split(maxsplit=2)
                watch.login_files[Path(path)] = (int(file, 8), int(directory, 8))


def _elsewhere(name: str) -> str:
    return next(str(path) for where in os.environ["PATH"].split(":") if (path := Path(where, name)).is_file())


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(top: Path) -> Iterator[tuple[Path, bytes]]:
    """The files below a directory that anybody may read who knows where they are, with their content."""
    pending = [top]
    while pending:
        directory = pending.pop()
        with contextlib.suppress(OSError):
            if not _mode(directory) & stat.S_IXOTH:
                continue
            # Closed even where an entry vanishes meanwhile.
            with os.scandir(directory) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
                    elif entry.is_file(follow_symlinks=False) and _mode(path) & stat.S_IROTH:
                        yield path, path.read_bytes()


def private(top: Path) -> Iterator[tuple[Path, bytes]]:
    """The files of a run, but for its servers' own, restored blobs, and what is there to log in with."""
    for directory, names, files in os.walk(top):
        names[:] = [name for name in names if name not in _HIDDEN]
        for path in (Path(directory, name) for name in files if not name.startswith("pgpass-")):
            with contextlib.suppress(OSError):
                yield path, path.read_bytes()


@dataclass(frozen=True)
class Secrets:
    """Values that must not be seen anywhere, by name."""

    values: dict[str, str]

    def but(self, *prefixes: str) -> Secrets:
        """Those whose names do not begin with one of these."""
        kept = {name: value for name, value in self.values.items() if not name.startswith(prefixes)}
        return Secrets(kept)

    def within(self, data: bytes) -> list[str]:
        """The names of those that stand in the data."""
        pattern = re.compile(b"|".join(re.escape(value.encode()) for value in self.values.values()))
        found = {match.decode() for match in pattern.findall(data)}
        return [name for name, value in self.values.items() if value in found]

    def in_files(self, tops: Iterable[Path], *, except_for: Iterable[Path] = ()) -> dict[str, list[str]]:
        """Path -> names, for every file below the tops in which one stands."""
        allowed = set(except_for)
        found = {}
        for top in tops:
            for directory, _, names in os.walk(top):
                for path in (Path(directory, name) for name in names):
                    if path not in allowed and path.is_file() and (inside := self.within(path.read_bytes())):
                        found[str(path)] = inside
        return found
