"""The inventories of many points as one sorted stream, in memory for a few lines of each.

Lines are compared as they stand: all of them begin with the digest, so that their order is that of digests,
and what many points have in common is looked into once.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from drkit.errors import RestoreDamaged
from drkit.sources import json_lines
from drkit.sources.bucket import inventory
from drkit.sources.bucket.inventory import Entry

Stream = Callable[[], Iterable[bytes]]
# Each stream is a restic of its own, which takes its memory; the others wait for their turn.
_AT_ONCE = 4
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HINT = "use another point; look with `drkit verify`"


def merged(streams: Sequence[Stream], directory: Path) -> Iterator[Entry]:
    """The entries of all inventories, sorted by digest and key; each version of a blob once.

    What is merged already stands in `directory` meanwhile, once its size. Raises RestoreDamaged for an
    inventory that is cut short, not sorted or none: whoever deletes by what is missing here must not go on.
    """
    entries = inventory.from_lines(_merged_lines(streams, directory))
    last = ("", "")
    for place, same in groupby(entries, key=attrgetter("digest", "key")):
        if not _DIGEST.fullmatch(place[0]) or place <= last:
            # Sorted as lines and not as digests: it was not written as inventories are.
            raise RestoreDamaged(f"an inventory of the vault is none, at {place[0]!r}", hint=_HINT)
        last = place
        seen = set()
        for entry in same:
            if entry.version not in seen:
                seen.add(entry.version)
                yield entry


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
