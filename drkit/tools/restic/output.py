"""What restic says, as values: pure, and tested on recorded output (restic.readthedocs.io, "Scripting")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from drkit.errors import ToolFailed
from drkit.logs import redact
from drkit.tools.process.command import Completed, server_reason

# A file in `restic ls --json`, its fields in the order in which restic has written them since 0.17. Within a
# name quotation marks are escaped, so that these words stand in the line of a file and nowhere else.
_OF_A_FILE = '"type":"file"'
# Whatever is neither file nor directory: symlink, fifo, socket, dev, chardev, irregular.
_SPECIAL = re.compile(r'"type":"(?!file"|dir")')
_FILE = re.compile(r'"type":"file","path":"([^"\\]*)","uid":\d+,"gid":\d+,"size":(\d+),')
_FRACTION = re.compile(r"\.(\d+)")

# `Ignoring "ID": failed to load snapshot ...` on standard error, with an exit code of 0.
_UNREAD = re.compile(r'^Ignoring "([0-9a-f]{64})"', re.MULTILINE)
_PACK = re.compile(r"pack ([0-9a-f]{8})[0-9a-f]{56}: (.+)")
_UNREFERENCED = re.compile(r"\bpack ([0-9a-f]{64}): not referenced in any index")
_REPAIR = re.compile(r"\brestic repair packs((?: [0-9a-f]{64})+)")
# Who holds a lock, and the age of the lock, to the second: "(5m4.422432333s ago)".
_HOLDER = re.compile(r"already locked(?: exclusively)? by PID (\d+) on (\S+)")
_SINCE = re.compile(r"\((-?[\dhm]*\d+)(?:\.\d+)?(m?s) ago\)")

# A part of the data by number, and how many parts there may be.
_SHARE = re.compile(r"\d+/\d+")
_SHARES = 256

# What follows for a file that restic could not write: it says so of each, after the reason.
_FOLLOWS = re.compile(r": lchown .*: no such file or directory$")

# How commands mark what went wrong.
_ERROR = re.compile(r"\b(error|fatal|panic)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Snapshot:
    """One restic snapshot as `restic snapshots` lists it.

    `original` is the id that it was copied or rewritten from, of copies of copies the first; `bytes` the size
    of what was read for it, which restic records from 0.17 on. `tree` is the hash of everything in it.
    """

    id: str
    time: datetime
    host: str
    tags: tuple[str, ...]
    paths: tuple[str, ...]
    original: str | None = None
    bytes: int | None = None
    tree: str = ""


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
    """One entry of a snapshot's tree: its path, and what restic says that it is."""

    path: str
    type: str


# Path and size of a file in a snapshot.
ListedFile = tuple[str, int]


class OwnedFile(NamedTuple):
    """A file in a snapshot: `path` is relative to the directory that was listed, `mode` its permissions."""

    path: str
    size: int
    uid: int
    gid: int
    mode: int
    modified_ns: int


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
    if _SHARE.fullmatch(text):
        number, shares = map(int, text.split("/"))
        return 1 <= number <= shares <= _SHARES
    percent = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if percent:
        return 0 < float(percent[1]) <= 100
    return re.fullmatch(r"[1-9]\d*[KMGT]", text) is not None


def is_empty_share(text: str, packs: Iterable[str]) -> bool:
    """Whether a part such as `1/7` has none of these packs: restic calls that free of errors all the same.

    A pack belongs to a share by the first byte of its name.
    """
    if not _SHARE.fullmatch(text):
        return False
    number, shares = map(int, text.split("/"))
    return not any(int(pack[:2], 16) % shares == number - 1 for pack in packs)


def prefixes(text: str) -> tuple[int, ...]:
    """The first bytes of the names of those packs that a part has; none where restic takes it by chance."""
    if _SHARE.fullmatch(text):
        number, shares = map(int, text.split("/"))
        return tuple(byte for byte in range(256) if byte % shares == number - 1)
    percent = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    return tuple(range(256)) if percent and float(percent[1]) == 100 else ()


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
        entry.get("tree", ""),
    )


def unread_snapshots(said: str) -> tuple[str, ...]:
    """The ids of snapshots that restic left out of a list, from its standard error."""
    return tuple(dict.fromkeys(_UNREAD.findall(said)))


def unread_packs(said: str) -> tuple[str, ...]:
    """The packs of which `restic check` says that no index names them: it reads none of these."""
    return tuple(dict.fromkeys(_UNREFERENCED.findall(said)))


def damaged_packs(said: str) -> tuple[str, ...]:
    """The packs that `restic check` has found damaged, from the command that it recommends for them."""
    found = _REPAIR.search(said)
    return tuple(found[1].split()) if found else ()


def packs_are_listed(line: str) -> bool:
    """Whether with this line `restic check` goes on from the packs to the trees."""
    return line.startswith("check snapshots")


def pack_faults(lines: Iterable[str]) -> tuple[str, ...]:
    """What `restic check` says of packs that the index names, a sentence each.

    Where the packs cannot be listed to the end, those that were not seen are said not to exist.
    """
    found = (_PACK.fullmatch(line) for line in lines)
    return tuple(f"pack {each[1]}: {each[2]}" for each in found if each and "not referenced" not in each[2])


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


def owned_files_in(lines: str) -> Iterator[OwnedFile]:
    """The same with owners, modes and times; paths are relative. Raises ToolFailed."""
    for line in lines.split("\n"):
        if _OF_A_FILE not in line:
            continue
        try:
            entry = json.loads(line)
            yield OwnedFile(
                str(entry["path"]).lstrip("/"),
                int(entry["size"]),
                int(entry["uid"]),
                int(entry["gid"]),
                # Go has setuid and the like elsewhere.
                int(entry["mode"]) & 0o777,
                _nanoseconds(str(entry["mtime"])),
            )
        except (ValueError, KeyError, TypeError):
            raise ToolFailed(f"cannot read restic's list of files: {line.strip()[:120]!r}") from None


def _nanoseconds(text: str) -> int:
    """A time in Go's spelling since the epoch, to the last of its nine digits."""
    fraction = _FRACTION.search(text)
    whole = datetime.fromisoformat(_FRACTION.sub("", text))
    return int(whole.timestamp()) * 10**9 + int(fraction[1].ljust(9, "0") if fraction else 0)


def special_in(lines: str) -> list[Node]:
    """Every entry among whole lines of `restic ls --json` that is neither a file nor a directory."""
    if not _SPECIAL.search(lines):
        return []
    try:
        found = [json.loads(line) for line in lines.split("\n") if _SPECIAL.search(line)]
        return [Node(str(entry["path"]), str(entry["type"])) for entry in found]
    except (ValueError, KeyError, TypeError):
        raise ToolFailed(f"cannot read restic's list of files: {lines.strip()[:120]!r}") from None


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


def holder(completed: Completed) -> str:
    """Who holds the lock that restic met, as far as it says so."""
    said = "\n".join(map(plain, completed.stderr.splitlines()))
    who = _HOLDER.search(said)
    if who is None:
        return "another restic"
    since = _SINCE.search(said)
    age = f", {since[1]}{since[2]} old" if since else ""
    return f"another restic (process {who[1]} on {who[2]}{age})"


def last_words(completed: Completed) -> str:
    """The last lines that restic said, as words."""
    return redact(" / ".join(plain(line) for line in completed.stderr.splitlines()[-3:]))


def telling(below: Sequence[str], own: Sequence[str]) -> list[str]:
    """The lines that say why restic failed, of what a command below it said and of its own.

    Of the command's, its first error: a query or a detail may push that out of the last lines. Then what
    restic itself said last.
    """
    errors = server_reason(below) or [line for line in below if _ERROR.search(line)][:1]
    return [*(errors or below[-1:]), *own[-2:]] if below else list(own[-3:])


def reasons(lines: Sequence[str]) -> list[str]:
    """The lines without those on what only follows from others, where there are others."""
    return [line for line in lines if not _FOLLOWS.search(line)] or list(lines)


def words_below(file: IO[bytes]) -> list[str]:
    """The lines that a command wrote into a file; of very many, the first MiB."""
    file.seek(0)
    return file.read(1 << 20).decode("utf-8", "replace").splitlines()


def words_of(message: dict[str, Any]) -> str:
    """What an error message says, in words."""
    error = message.get("error")
    said = str(error.get("message") if isinstance(error, dict) else error or "").strip()
    item = message.get("item", "")
    return f"{item}: {said}" if said and item else said or str(message.get("message", "")).strip()


def plain(line: str) -> str:
    """A line of stderr, which may be one of restic's JSON messages, as words."""
    message = message_in(line.encode())
    return words_of(message).removeprefix("Fatal: ") if message else line


def hint_for(words: str) -> str:
    """What to do about the few failures that tell it themselves."""
    if "no space left on device" in words:
        return "the disk of the repository or of the cache is full; `drkit expire` makes room"
    if "failed to load snapshot" in words:
        return "a snapshot file is damaged: put that file back from a copy of the repository, or remove it"
    if "permission denied" in words:
        return "drkit's user may not read or write there"
    return "run drkit with --verbose to see each command"


def stuck_at(cache: Path, line: str) -> str:
    """Why restic comes no further, by a line of its stderr; empty where it may.

    Where its cache fills up while it runs, it tries to write the same file again and again, for a quarter of
    an hour, and each time without success (seen with restic 0.18).
    """
    if "retrying after" in line and "no space left on device" in line and f"{cache}/" in line:
        return f"no space is left for its cache in {cache}"
    return ""


def found_damage(words: str) -> bool:
    """Whether `restic check` says that the repository is damaged, and not only that it could not look."""
    return "repository contains errors" in words.lower()
