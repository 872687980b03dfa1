"""The file of a ledger: a line of facts, then a record of 18 bytes for each item, sorted, then a hash.

A record has the first 14 bytes of the item's SHA-256, the number of its mark, and its size, rounded: 18 MB
for a million items. The hash at the end is of everything before it: a file that is cut, or altered, is none.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from drkit.errors import RestoreDamaged, ToolFailed
from drkit.model.reread import LEDGER_SCHEMA, StoreKind
from drkit.points.ledger.marks import MOST, Mark, State

# The name of an item, the number of its mark, its size.
Record = tuple[bytes, int, int]
NAME_BYTES = 14
_RECORD = struct.Struct(f">{NAME_BYTES}sHH")
_HASH_BYTES = 32
_MANY = 4096
_PIECE = _RECORD.size * _MANY
_LONGEST_LINE = 64 << 20
# A size is a number of 11 bits, times a power of two.
_BITS = 11
_HINT = "nothing in it counts; `drkit verify` writes a new one"


@dataclass(frozen=True)
class LedgerFile:
    """A ledger of one store in a file, whose hash is right.

    `listed_at` is when the store was listed last: what is not in the ledger was not there then. `used` are
    the numbers of the marks that records name.
    """

    path: Path
    kind: StoreKind
    where: str
    listed_at: datetime
    marks: tuple[Mark, ...]
    begin: int
    end: int
    used: frozenset[int] = frozenset()

    def records(self) -> Iterator[Record]:
        """The records, sorted by name."""
        with self.path.open("rb") as file:
            file.seek(self.begin)
            left = self.end - self.begin
            while left:
                piece = file.read(min(_PIECE, left))
                if not piece:
                    raise RestoreDamaged(f"the ledger {self.path.name} is cut short", hint=_HINT)
                left -= len(piece)
                yield from _RECORD.iter_unpack(piece)


def name_of(digest: str) -> bytes:
    """How a record names a digest (`sha256:...`) or a pack."""
    return bytes.fromhex(digest[-64 : 2 * NAME_BYTES - 64])


def rounded(size: int) -> int:
    """A size in bytes as two bytes, a little less than it by one part in a thousand at most."""
    power = size.bit_length() - _BITS
    if power <= 0:
        return size
    return power << _BITS | size >> power if power < 32 else 0xFFFF


def size_of(code: int) -> int:
    """The size in bytes that two bytes mean."""
    return (code & ((1 << _BITS) - 1)) << (code >> _BITS)


def write(
    path: Path,
    kind: StoreKind,
    where: str,
    listed_at: datetime,
    marks: Sequence[Mark],
    records: Iterable[Record],
) -> None:
    """Write sorted records; raises ToolFailed where there are more marks than a file can hold."""
    if len(marks) > MOST:
        raise ToolFailed(f"the ledger of {where} names too many runs ({len(marks):,})")
    facts = {
        "drkit_ledger": LEDGER_SCHEMA,
        "kind": kind,
        "where": where,
        "listed_at": listed_at.isoformat(),
        "marks": [[m.state, m.at.isoformat(), m.run, m.verb, m.host] for m in marks],
    }
    line = json.dumps(facts).encode() + b"\n"
    hasher = hashlib.sha256(line)
    with path.open("wb") as file:
        file.write(line)
        for piece in _packed(records):
            hasher.update(piece)
            file.write(piece)
        file.write(hasher.digest())


def pack(name: bytes, mark: int, size: int) -> bytes:
    """One record."""
    return _RECORD.pack(name, mark, size)


def unpacked(path: Path) -> Iterator[Record]:
    """The records of a file that has nothing else."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield from _RECORD.iter_unpack(piece)


def append(path: Path, data: bytes | bytearray, size: int) -> int:
    """Write behind the first `size` bytes of a file, which may be new; returns its new size.

    Of what an earlier call has written by half, for want of room, nothing stays: all behind it would be read
    in the wrong places.
    """
    with path.open("ab") as file:
        file.truncate(size)
        file.write(data)
    return size + len(data)


def _packed(records: Iterable[Record]) -> Iterator[bytes]:
    pack, piece = _RECORD.pack, bytearray()
    for name, mark, size in records:
        piece += pack(name, mark, size)
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def read(path: Path) -> LedgerFile:
    """A ledger, once its hash is seen to be right; raises RestoreDamaged that says what is wrong with it."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
        # First, for what a newer drkit writes may be of another form.
        kind, where, at, marks = _facts(line)
        hasher = hashlib.sha256(line)
        left = path.stat().st_size - len(line) - _HASH_BYTES
        if left < 0 or left % _RECORD.size:
            raise RestoreDamaged("it is cut short", hint=_HINT)
        end = len(line) + left
        while left:
            piece = file.read(min(1 << 20, left))
            hasher.update(piece)
            left -= len(piece)
        if file.read() != hasher.digest():
            raise RestoreDamaged("it was altered or cut: its hash is wrong", hint=_HINT)
    found = LedgerFile(path, kind, where, at, marks, len(line), end)
    return replace(found, used=_used(found))


def _used(found: LedgerFile) -> frozenset[int]:
    last, used, most = b"", set(), len(found.marks)
    for name, mark, _ in found.records():
        if name <= last or mark >= most:
            raise RestoreDamaged("its records are not sorted, or name unknown runs", hint=_HINT)
        last = name
        used.add(mark)
    return frozenset(used)


def _facts(line: bytes) -> tuple[StoreKind, str, datetime, tuple[Mark, ...]]:
    try:
        facts = json.loads(line)
        schema = int(facts["drkit_ledger"])
        if schema > LEDGER_SCHEMA:
            raise RestoreDamaged(
                "it was made by a newer drkit", hint="nothing in it counts here: update drkit"
            )
        kind: StoreKind = facts["kind"]
        if kind not in get_args(StoreKind):
            raise ValueError(kind)
        return kind, str(facts["where"]), _moment(facts["listed_at"]), tuple(map(_mark, facts["marks"]))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        raise RestoreDamaged("it is not understood", hint=_HINT) from None


def _mark(found: Sequence[Any]) -> Mark:
    state: State = found[0]
    if state not in get_args(State):
        raise ValueError(state)
    return Mark(state, _moment(found[1]), *map(str, found[2:5]))


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found
