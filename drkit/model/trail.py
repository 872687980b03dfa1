"""The audit trail: who ran what, each entry bound to the one before it by its hash; pure.

An entry is a line of JSON in one canonical form. `previous` is the SHA-256 of the line before, so that
whoever changes or removes one has to write all later ones anew; the hash of the last one, which each recovery
point keeps, tells of that.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

NOTHING = "0" * 64
# An entry that says that a line before it was cut off in the middle, as by a power cut.
GAP = "gap"
# An entry by which somebody takes note of faults before it.
CONFIRMED = "trail confirmed"


@dataclass(frozen=True)
class TrailHead:
    """The last entry at a moment: its number and hash, and the state directory that has it."""

    machine: str
    number: int
    hash: str


@dataclass(frozen=True)
class TrailEntry:
    """One thing that was done: `outcome` is `began`, `succeeded` or `failed`.

    `who` has the user that drkit ran as (`user`), the one that logged in (`login`) and the one that used sudo
    (`sudo`), as far as they are known; `run` is the same for the beginning and the end.
    """

    number: int
    at: str
    verb: str
    outcome: str = ""
    run: str = ""
    host: str = ""
    machine: str = ""
    who: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    point: str = ""
    error: str = ""
    # Of a gap: the hash of what stands there of the line that was cut off.
    torn: str = ""


@dataclass(frozen=True)
class TrailFault:
    """A place at which the trail is not as it was written."""

    place: str
    said: str
    confirmed: bool = False


@dataclass(frozen=True)
class Checked:
    """What a trail holds; `hashes` are those of its entries, by number. `torn` is a last line cut off.

    Of the entries only the newest are kept, for a trail of many years need not be in memory; `total` counts
    them all, and `first` is the number of the oldest (0: there is none).
    """

    entries: tuple[TrailEntry, ...]
    total: int
    first: int
    hashes: Mapping[int, str]
    faults: tuple[TrailFault, ...]
    torn: bytes = b""
    confirmed_at: datetime | None = None

    @property
    def last(self) -> TrailEntry | None:
        """The newest entry."""
        return self.entries[-1] if self.entries else None


_NO_TEXTS = ("number", "who", "arguments")


def line_of(entry: TrailEntry, previous: str) -> bytes:
    """The canonical line of an entry, without its end."""
    fields: dict[str, Any] = {name: value for name, value in vars(entry).items() if value}
    return json.dumps(
        {**fields, "previous": previous}, sort_keys=True, separators=(",", ":"), ensure_ascii=True
    ).encode("ascii")


def hash_of(line: bytes) -> str:
    """What binds the next entry to this one."""
    return hashlib.sha256(line).hexdigest()


def parse(line: bytes) -> tuple[TrailEntry, str] | None:
    """An entry and the hash before it; None where a line is none."""
    try:
        found = json.loads(line)
        previous = found.pop("previous")
        found["arguments"] = tuple(found.get("arguments", ()))
        entry = TrailEntry(**found)
        if datetime.fromisoformat(entry.at).tzinfo is None:
            return None
        texts = (previous, *(value for name, value in vars(entry).items() if name not in _NO_TEXTS))
        lists = (*entry.arguments, *entry.who, *entry.who.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    sound = all(isinstance(text, str) for text in (*texts, *lists))
    return (entry, previous) if sound and type(entry.number) is int else None


def check(lines: Iterable[tuple[str, bytes]], keep: int) -> Checked:
    """Follow the chain through lines in their order, each with its place (`trail.jsonl:7`).

    The last `keep` entries are kept.
    """
    found = _Following(deque(maxlen=keep))
    for place, line in lines:
        found.take(place, line)
    return Checked(
        tuple(found.entries),
        found.total,
        found.first,
        found.hashes,
        tuple(found.faults),
        found.pending,
        found.confirmed,
    )


class _Following:
    """Where the check of a chain is."""

    def __init__(self, entries: deque[TrailEntry]) -> None:
        self.entries = entries
        self.total = self.first = self._last = 0
        self.hashes: dict[int, str] = {}
        self.faults: list[TrailFault] = []
        self.confirmed: datetime | None = None
        # A line that is no entry; what it is says the next one, if that is a gap.
        self.pending, self._at = b"", ""
        self._hash = NOTHING

    def take(self, place: str, line: bytes) -> None:
        parsed = parse(line)
        if parsed is None:
            self._refuse_pending()
            self.pending, self._at = line, place
            return
        entry, previous = parsed
        if self.pending and not (entry.verb == GAP and entry.torn == hash_of(self.pending)):
            self._refuse_pending()
        self.pending = b""
        self._follow(place, entry, previous)
        if entry.verb == CONFIRMED:
            self.faults = [TrailFault(f.place, f.said, confirmed=True) for f in self.faults]
            self.confirmed = datetime.fromisoformat(entry.at)
        self.entries.append(entry)
        self.total, self.first, self._last = self.total + 1, self.first or entry.number, entry.number
        self._hash = self.hashes[entry.number] = hash_of(line)

    def _follow(self, place: str, entry: TrailEntry, previous: str) -> None:
        if not self.total and entry.number > 1:
            # Older files have been put elsewhere; `against` asks what recovery points have seen.
            return
        if entry.number != self._last + 1:
            said = f"entry {entry.number} stands after entry {self._last}: what was between them is gone"
        elif previous != self._hash:
            said = f"entry {entry.number} does not follow from what stands before it: that was changed"
        else:
            return
        self.faults.append(TrailFault(place, said))

    def _refuse_pending(self) -> None:
        if self.pending:
            self.faults.append(TrailFault(self._at, "this is no entry"))
        self.pending = b""


def against(checked: Checked, seen: Sequence[tuple[str, datetime, TrailHead]]) -> tuple[TrailFault, ...]:
    """What recovery points have seen of the trail and it has not: (point, when, head); pure.

    All of this state directory. What is older than somebody's confirmation is confirmed. Older files may have
    been put elsewhere, but not what the newest point has seen: else whoever writes a trail anew need only
    begin with a high number.
    """
    found = []
    newest = max((at for _, at, _ in seen), default=None)
    for point, at, head in seen:
        if head.number < checked.first and at != newest:
            continue
        confirmed = checked.confirmed_at is not None and at < checked.confirmed_at
        there = checked.hashes.get(head.number)
        if there == head.hash:
            continue
        said = (
            f"entry {head.number}, which point {point} has seen, is not in it"
            if there is None
            else f"entry {head.number} is another one than point {point} has seen"
        )
        if head.number < checked.first:
            said += f": it begins with entry {checked.first}"
        found.append(TrailFault(f"entry {head.number}", said, confirmed))
    return tuple(found)
