"""The inventories of many points as one sorted stream, in memory for a few lines of each.

Lines are compared as they stand: all of them begin with the digest, so that their order is that of digests,
and what many points have in common is looked into once.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.errors import RestoreDamaged
from drkit.registry import storage
from drkit.tools import json_lines

Stream = Callable[[], Iterable[bytes]]
# Each stream is a restic of its own, which takes its memory; the others wait for their turn.
_AT_ONCE = 4
_HINT = "use another point; run `drkit verify`"


def merged(streams: Sequence[Stream], directory: Path) -> Iterator[Entry]:
    """The entries of all inventories, sorted by digest and key; each version of a blob once.

    What is merged already stands in `directory` meanwhile, once its size. Raises RestoreDamaged for an
    inventory that is cut short, not sorted or none: whoever deletes by what is missing here must not go on.
    """
    entries = inventory.from_lines(_merged_lines(streams, directory))
    last = ("", "")
    for place, same in groupby(entries, key=attrgetter("digest", "key")):
        if not storage.is_digest(place[0]) or place <= last:
            # Sorted as lines and not as digests: it was not written as inventories are.
            raise RestoreDamaged(f"invalid digest in the inventory of the vault: {place[0]!r}", hint=_HINT)
        last = place
        versions: dict[str | None, Entry] = {}
        for entry in same:
            known = versions.get(entry.version)
            versions[entry.version] = entry if known is None else _longer_locked(known, entry)
        yield from versions.values()


def _longer_locked(one: Entry, other: Entry) -> Entry:
    """The entry of the later point: a lock only grows."""
    return max(one, other, key=lambda entry: (entry.locked_until is not None, entry.locked_until))


def _merged_lines(streams: Sequence[Stream], directory: Path) -> Iterator[bytes]:
    before: Path | None = None
    number = 0
    while len(streams) > _AT_ONCE:
        number += 1
        kept = directory / f"inventories-{number}.jsonl"
        with kept.open("wb") as file:
            file.writelines(_once(streams[:_AT_ONCE], before))
        _remove(before)
        before, streams = kept, streams[_AT_ONCE:]
    yield from _once(streams, before)
    _remove(before)


def _once(streams: Sequence[Stream], before: Path | None) -> Iterator[bytes]:
    """The lines of a few streams and a file, sorted, each once."""
    sources = [_lines(stream()) for stream in streams]
    if before is not None:
        sources.append(_lines(json_lines.pieces(before)))
    last = b""
    for line in heapq.merge(*sources):
        if line != last:
            last = line
            yield line


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    last = b""
    for lines in json_lines.whole(pieces, "an inventory of the vault"):
        for line in filter(None, lines.split(b"\n")):
            if line <= last:
                raise RestoreDamaged("an inventory of the vault is not sorted", hint=_HINT)
            last = line
            yield line + b"\n"


def _remove(path: Path | None) -> None:
    if path is not None:
        with suppress(OSError):
            path.unlink()
