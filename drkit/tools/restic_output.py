"""What restic says, as values: pure, and tested on recorded output (restic.readthedocs.io, "Scripting")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from drkit.errors import ToolFailed
from drkit.logs import redact
from drkit.tools.command import Completed

# A file in `restic ls --json`, its fields in the order in which restic has written them since 0.17. Within a
# name quotation marks are escaped, so that these words stand in the line of a file and nowhere else.
_OF_A_FILE = '"type":"file"'
_FILE = re.compile(r'"type":"file","path":"([^"\\]*)","uid":\d+,"gid":\d+,"size":(\d+),')

# How commands mark what went wrong.
_ERROR = re.compile(r"\b(error|fatal|panic)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Snapshot:
    """One restic snapshot as `restic snapshots` lists it.

    `original` is the id that it was copied or rewritten from; `bytes` the size of what was read for it, which
    restic records from 0.17 on.
    """

    id: str
    time: datetime
    host: str
    tags: tuple[str, ...]
    paths: tuple[str, ...]
    original: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Saved:
    """What `restic backup` stored: the new snapshot, its full size, and what the repository grew by.

    `unmodified` of the `files` were not read again.
    """

    snapshot: str
    bytes: int
    added_bytes: int
    files: int
    unmodified: int = 0


@dataclass(frozen=True)
class Node:
    """One entry of a snapshot's tree; `size` is None for anything but a file."""

    path: str
    type: str
    size: int | None


# Path and size of a file in a snapshot.
ListedFile = tuple[str, int]


@dataclass(frozen=True)
class Restored:
    """What `restic restore` says that it wrote."""

    files: int
    bytes: int


def parse_version(text: str) -> tuple[int, int, int]:
    """`restic 0.18.0 compiled with ...` -> (0, 18, 0); raises ToolFailed."""
    found = re.match(r"restic (\d+)\.(\d+)(?:\.(\d+))?", text)
    if not found:
        raise ToolFailed(f"cannot read restic's version from {text.strip()[:60]!r}")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def is_subset(text: str) -> bool:
    """Whether this is a part of the data that `check --read-data-subset` takes: `5%`, `1/7` or `2G`."""
    share = re.fullmatch(r"(\d+)/(\d+)", text)
    if share:
        return 1 <= int(share[1]) <= int(share[2])
    percent = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if percent:
        return 0 < float(percent[1]) <= 100
    return re.fullmatch(r"[1-9]\d*[KMGT]", text) is not None


def snapshot_of(entry: dict[str, Any]) -> Snapshot:
    """One entry of `restic snapshots --json`."""
    return Snapshot(
        entry["id"],
        datetime.fromisoformat(entry["time"]),
        entry.get("hostname", ""),
        tuple(entry.get("tags") or ()),
        tuple(entry["paths"]),
        entry.get("original"),
        (entry.get("summary") or {}).get("total_bytes_processed"),
    )


def message_in(line: bytes) -> dict[str, Any]:
    """The JSON message that a line is, or nothing for any other line."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def whole_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """A stream of text in pieces that end where lines do; the last may lack its line feed."""
    rest = b""
    for piece in pieces:
        text, feed, rest = (rest + piece).rpartition(b"\n")
        if feed:
            yield (text + feed).decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def files_in(lines: str) -> list[ListedFile]:
    """Every file among whole lines of `restic ls --json`, in their order.

    There may be millions: lines that look as expected are not parsed one by one. Raises ToolFailed for what
    cannot be understood, for a file that is overlooked would be one that is missing.
    """
    found = _FILE.findall(lines)
    if len(found) != lines.count(_OF_A_FILE):
        # Some name is odd, or another restic writes otherwise.
        return [_file(line) for line in lines.split("\n") if _OF_A_FILE in line]
    return [(path, int(size)) for path, size in found]


def _file(line: str) -> ListedFile:
    try:
        entry = json.loads(line)
        return str(entry["path"]), int(entry["size"])
    except (ValueError, KeyError, TypeError):
        raise ToolFailed(f"cannot read restic's list of files: {line.strip()[:120]!r}") from None


def lacks(completed: Completed, folder: str) -> bool:
    """Whether restic ended because this directory, or one above it, is not in the snapshot.

    Another thing is "id ... not found in repository": the snapshot cannot be read.
    """
    names = folder.strip("/").split("/")
    said = {f"path {'/'.join(names[:count])}: not found" for count in range(1, len(names) + 1)}
    return any(plain(line).removeprefix("Fatal: ") in said for line in completed.stderr.splitlines())


def last_words(completed: Completed) -> str:
    """The last lines that restic said, as words."""
    return redact(" / ".join(plain(line) for line in completed.stderr.splitlines()[-3:]))


def telling(below: Sequence[str], own: Sequence[str]) -> list[str]:
    """The lines that say why restic failed, of what a command below it said and of its own.

    Of the command's, its first error: a query or a detail may push that out of the last lines. Then what
    restic itself said last.
    """
    errors = [line for line in below if _ERROR.search(line)]
    return [*(errors[:1] or below[-1:]), *own[-2:]] if below else list(own)


def words_below(file: IO[bytes]) -> list[str]:
    """The lines that a command wrote into a file; of very many, the first MiB."""
    file.seek(0)
    return file.read(1 << 20).decode("utf-8", "replace").splitlines()


def words_of(message: dict[str, Any]) -> str:
    """What an error message says, in words."""
    error = message.get("error")
    said = error.get("message") if isinstance(error, dict) else error
    item = message.get("item", "")
    return f"{item}: {said}" if said and item else str(said or message.get("message", ""))


def plain(line: str) -> str:
    """A line of stderr, which may be one of restic's JSON messages, as words."""
    message = message_in(line.encode())
    return words_of(message).removeprefix("Fatal: ") if message else line


def hint_for(words: str) -> str:
    """What to do about the few failures that tell it themselves."""
    if "no space left on device" in words:
        return "the disk of the repository or of the cache is full; `drkit expire` makes room"
    if "permission denied" in words:
        return "drkit's user may not read or write there"
    return "run drkit with --verbose to see each command"
