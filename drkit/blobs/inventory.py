"""The inventory of a bucket's point: which blobs it needs of the vault, as sorted JSON lines.

Written and read as streams, and merged with other sorted streams: five million blobs take no more memory
than five.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import NamedTuple

from drkit.errors import RestoreDamaged
from drkit.registry import storage
from drkit.tools import json_lines

FILE_NAME = "inventory.jsonl"
# A line as it is written here, where no name has anything to escape; any other is left to the JSON parser.
_LINE = re.compile(
    r'\{"digest": "([^"\\]*)", "key": "([^"\\]*)", "size": (\d+)'
    r'(?:, "version": "([^"\\]*)")?(?:, "locked_until": "([^"\\]*)")?\}'
)
_HINT = "restore from another point"


class Entry(NamedTuple):
    """A blob in the vault: its digest, its key there, its size in bytes.

    `version` is the vault's own id of it, None where the vault keeps no versions; `locked_until` when its
    lock ends, None where it has none.
    """

    digest: str
    key: str
    size: int
    version: str | None = None
    locked_until: datetime | None = None


def to_lines(entries: Iterable[Entry]) -> Iterator[bytes]:
    """One JSON object a line, in the order given, in pieces of about 64 KiB."""
    return json_lines.together(map(_line, entries))


def from_lines(pieces: Iterable[bytes]) -> Iterator[Entry]:
    """The entries in a stream of JSON lines; raises RestoreDamaged for anything else."""
    for lines in json_lines.whole(pieces, "the inventory of the vault"):
        yield from map(entry, filter(None, lines.split(b"\n")))


def from_file(path: Path) -> Iterator[Entry]:
    """The entries in a file of JSON lines."""
    return from_lines(json_lines.pieces(path))


def _line(entry: Entry) -> bytes:
    line = f'{{"digest": {quoted(entry.digest)}, "key": {quoted(entry.key)}, "size": {entry.size}'
    if entry.version is not None:
        line += f', "version": {quoted(entry.version)}'
    if entry.locked_until is not None:
        line += f', "locked_until": "{entry.locked_until.isoformat(timespec="seconds")}"'
    return f"{line}}}\n".encode()


def entry(line: bytes) -> Entry:
    """The entry in a line of JSON; raises RestoreDamaged for anything else."""
    try:
        text = line.decode()
        found = _LINE.fullmatch(text)
        digest, key, size, version, until = found.groups() if found else _parsed(text)
        if not storage.is_digest(digest):
            # It becomes a path.
            raise ValueError(digest)
        return Entry(digest, key, int(size), version, datetime.fromisoformat(until) if until else None)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RestoreDamaged("the inventory of the vault cannot be read", hint=_HINT) from None


def _parsed(line: str) -> tuple[str, str, int, str | None, str | None]:
    found = json.loads(line)
    return found["digest"], found["key"], found["size"], found.get("version"), found.get("locked_until")
