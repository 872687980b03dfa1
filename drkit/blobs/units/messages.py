"""What a worker is sent and what it answers: JSON, so that everything that is sent can be seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drkit import __version__
from drkit.blobs.inventory import Entry
from drkit.blobs.units.unit import Done, Outcome, Wrong


@dataclass(frozen=True)
class Question:
    """What a worker is to do: with which blobs, where; and which drkit asks."""

    place: Mapping[str, Any]
    items: tuple[Entry, ...]
    version: str


@dataclass(frozen=True)
class Reply:
    """What a worker says: beyond DONE of blobs by their place in the question, or why it did nothing.

    `refused` is the version of a worker that has another drkit than asks.
    """

    found: Mapping[int, Outcome]
    refused: str = ""
    failed: str = ""


def ask(place: Mapping[str, Any], items: Iterable[Entry]) -> bytes:
    """The question as it is sent."""
    blobs = [(item.digest, item.key, item.size, item.version) for item in items]
    return json.dumps({"drkit": __version__, "place": place, "blobs": blobs}).encode()


def asked(data: bytes) -> Question:
    """The question as it came."""
    found = json.loads(data)
    return Question(found["place"], tuple(Entry(*each) for each in found["blobs"]), found["drkit"])


def reply(found: Mapping[int, Outcome]) -> bytes:
    """The answer of a worker that has done its unit."""
    return json.dumps({"found": fields(found)}).encode()


def refuse(version: str) -> bytes:
    """The answer of a worker that has another drkit."""
    return json.dumps({"found": [], "refused": version}).encode()


def fail(sentence: str) -> bytes:
    """The answer of a worker that could not do its unit."""
    return json.dumps({"found": [], "failed": sentence}).encode()


def fields(found: Mapping[int, Outcome]) -> list[tuple[Any, ...]]:
    """What was found, as JSON has it."""
    return [(position, *each) for position, each in found.items()]


def outcomes(found: Iterable[Sequence[Any]]) -> dict[int, Outcome]:
    """The same as it was; ValueError or TypeError for what is none."""
    return {position: _outcome(each) for position, *each in found}


def replied(data: bytes, count: int) -> Reply:
    """The answer as it came to a question about so many blobs; ValueError for what is none."""
    try:
        said = json.loads(data)
        found = outcomes(said["found"])
        if not all(isinstance(position, int) and 0 <= position < count for position in found):
            raise ValueError("it tells of blobs that it was not asked about")
        return Reply(found, str(said.get("refused", "")), str(said.get("failed", "")))
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it cannot be read: {error}") from None


def _outcome(each: Sequence[Any]) -> Outcome:
    # What is wrong has four fields, what was done has three.
    if len(each) == 3:
        version, kept, other = each
        if not isinstance(version, str | None) or not isinstance(kept, bool):
            raise ValueError(f"it says {each!r} of a blob")
        if not isinstance(other, str | None):
            raise ValueError(f"it says {each!r} of a blob")
        return Done(version, kept, other)
    kind, size, digits, said = each
    if kind not in ("gone", "unreadable", "bytes", "longer"):
        raise ValueError(f"it says {kind!r} of a blob")
    return Wrong(kind, int(size), str(digits), str(said))
