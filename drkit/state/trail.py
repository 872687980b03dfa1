"""The audit trail in the state directory: appended to, never written anew.

trail.jsonl is the newest file; one that has grown large is renamed to trail-<number of its first
entry>.jsonl, and the chain goes on in a new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from drkit.logs import encodable, redact
from drkit.model import utc_now
from drkit.model.trail import (
    GAP,
    NOTHING,
    Checked,
    TrailEntry,
    TrailHead,
    check,
    hash_of,
    line_of,
    parse,
)

FILE = "trail.jsonl"
_OLDER = re.compile(r"trail-(\d{12})\.jsonl")
_LARGE = 4 << 20
_MODE = 0o600
_LOCK_SECONDS = 30.0
# A line is shorter: what may be long in it is cut.
_LONGEST_LINE, _LONGEST_WORD, _MOST_WORDS = 1 << 16, 300, 40
_LOGIN = Path("/proc/self/loginuid")
_NO_LOGIN = 0xFFFFFFFF
# In quotes as libpq reads them, where a backslash takes the next character as it is.
_PASSWORD = re.compile(r"(password\s*=\s*)(?:'(?:\\.|[^'\\])*'?|(?:\\.|\S)+)", re.IGNORECASE)


def append(root: Path, entry: TrailEntry) -> TrailHead:
    """Write an entry behind the last one, whose number and hash it gets; raises OSError.

    What a power cut has left of a line stays, and an entry says so.
    """
    with FileLock(root / "locks" / "trail.lock", mode=_MODE, timeout=_LOCK_SECONDS):
        last, rest = _end(root / FILE)
        torn = b"" if parse(rest) else rest
        if last is None:
            older = [path for path in files(root) if path.name != FILE]
            last = _end(older[-1])[0] if older else None
        number, previous = (last[0].number, last[1]) if last else (0, NOTHING)
        if (root / FILE).exists() and (root / FILE).stat().st_size > _LARGE and not rest:
            _set_aside(root)
        lines = []
        if torn:
            number += 1
            gap = replace(entry, number=number, verb=GAP, outcome="", torn=hash_of(torn), arguments=())
            lines.append(line_of(gap, previous))
            previous = hash_of(lines[-1])
        lines.append(_line(replace(entry, number=number + 1), previous))
        _write(root / FILE, (b"\n" if rest else b"") + b"".join(line + b"\n" for line in lines))
        return TrailHead(entry.machine, number + 1, hash_of(lines[-1]))


def _line(entry: TrailEntry, previous: str) -> bytes:
    """The line of an entry, so short that it is found again: of too many words the first ones are kept."""
    while len(line := line_of(entry, previous)) >= _LONGEST_LINE and len(entry.arguments) > 1:
        entry = replace(entry, arguments=(*entry.arguments[: len(entry.arguments) // 2 - 1], "..."))
    return line


def files(root: Path) -> tuple[Path, ...]:
    """The files of the trail, the oldest first."""
    older = sorted(path for path in root.glob("trail-*.jsonl") if _OLDER.fullmatch(path.name))
    newest = root / FILE
    return (*older, newest) if newest.exists() else tuple(older)


def read(root: Path, keep: int) -> Checked:
    """What is there, with the newest `keep` entries, and whether its chain holds; raises OSError."""
    return check(_lines(root), keep)


def head(root: Path, machine: str) -> TrailHead | None:
    """The newest entry, for a recovery point to keep; None where there is none. Raises OSError."""
    for path in reversed(files(root)):
        last, _torn = _end(path)
        if last is not None:
            return TrailHead(machine, last[0].number, last[1])
    return None


def tail(root: Path, count: int) -> bytes:
    """The last lines of the newest file, as they stand there; raises OSError."""
    path = root / FILE
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count * 1024))
        lines = file.read().splitlines(keepends=True)
    whole = [line for line in lines if parse(line) is not None]
    return b"".join(whole[-count:])


def who(environment: Mapping[str, str]) -> dict[str, str]:
    """Who runs this: the user, who logged in, and who used sudo, as far as the system tells."""
    found = {"user": _name(os.geteuid())}
    with contextlib.suppress(OSError, ValueError):
        login = int(_LOGIN.read_text(encoding="ascii"))
        if login != _NO_LOGIN:
            found["login"] = _name(login)
    if by_sudo := environment.get("SUDO_USER"):
        found["sudo"] = encodable(by_sudo)[:_LONGEST_WORD]
    return found


def words(arguments: list[str]) -> tuple[str, ...]:
    """A command line for the trail: without secrets, and no longer than it need be."""
    clean = (_PASSWORD.sub(r"\1***", redact(encodable(word))) for word in arguments)
    return tuple(word[:_LONGEST_WORD] for word in clean)[:_MOST_WORDS]


def entry(verb: str, outcome: str, run: str, machine: str, **more: object) -> TrailEntry:
    """An entry of this moment and this process; its number is given when it is written."""
    at = utc_now().isoformat(timespec="milliseconds")
    made = TrailEntry(0, at, verb, outcome, run, platform.node(), machine, who(os.environ))
    return replace(made, **more)  # type: ignore[arg-type]  # the fields of an entry


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _lines(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in files(root):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield f"{path.name}:{number}", line.removesuffix(b"\n")


def _end(path: Path) -> tuple[tuple[TrailEntry, str] | None, bytes]:
    """The last whole entry of a file with its hash, and what stands behind the last end of a line."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LONGEST_LINE))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None, b""
    # Behind the last line's end there is nothing, if that was written.
    rest = lines.pop()
    for line in (rest, *reversed(lines)):
        parsed = parse(line)
        if parsed is not None:
            return (parsed[0], hash_of(line)), rest
    return None, rest


def _set_aside(root: Path) -> None:
    with (root / FILE).open("rb") as file:
        parsed = parse(file.readline().removesuffix(b"\n"))
    first = parsed[0].number if parsed else 0
    target = root / f"trail-{first:012d}.jsonl"
    # Who has made the file append-only (chattr +a) has one that grows.
    with contextlib.suppress(PermissionError):
        if not target.exists():
            (root / FILE).rename(target)


def _write(path: Path, data: bytes) -> None:
    new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
