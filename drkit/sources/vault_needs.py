"""Which objects of a vault nobody needs: pure, one pass over the inventories and the vault's listing.

Both are sorted by digest, so that memory stays flat however many blobs there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from drkit.harbor import storage
from drkit.sources import inventory
from drkit.sources.inventory import Entry
from drkit.tools.s3 import Object

# So many inventories are read at once: each comes out of a restic of its own, which takes memory.
_AT_ONCE = 4
_place = attrgetter("digest", "key")


class Surplus(NamedTuple):
    """An object, or a version of one, that nobody needs; `blob`: it is what readers of the key get."""

    key: str
    version: str | None
    size: int
    blob: bool


@dataclass
class Waiting:
    """Blobs that no inventory needs, put by a later, unfinished backup: its successor takes them up."""

    blobs: int = 0
    bytes: int = 0


def merged(
    inventories: Sequence[Callable[[], AbstractContextManager[Iterable[Entry]]]], directory: Path
) -> Iterator[Entry]:
    """What all inventories need, sorted, each version of a blob once; some are read at a time.

    What has been merged so far stands in a file of `directory` meanwhile.
    """
    so_far: Path | None = None
    sources = iter(inventories)
    for number, some in enumerate(iter(lambda: list(islice(sources, _AT_ONCE)), [])):
        target = directory / f"needed-{number}.jsonl"
        with ExitStack() as stack, target.open("wb") as file:
            streams = [stack.enter_context(each()) for each in some]
            streams += [inventory.from_file(so_far)] if so_far else []
            file.writelines(inventory.to_lines(_distinct(heapq.merge(*streams, key=_place))))
        if so_far:
            so_far.unlink()
        so_far = target
    return inventory.from_file(so_far) if so_far else iter(())


def _distinct(entries: Iterable[Entry]) -> Iterator[Entry]:
    for _, same in groupby(entries, key=_place):
        seen = set()
        for entry in same:
            if entry.version not in seen:
                seen.add(entry.version)
                yield entry


def surplus(
    listed: Iterable[Object], needed: Iterable[Entry], newest: datetime, waiting: Waiting
) -> Iterator[Surplus]:
    """What of the vault's listing (with versions, where it keeps them) no entry needs.

    Nothing that is not a blob is ever named, nor a blob that was put after `newest`, the end of the newest
    sealed point, whose inventory would name it.
    """
    wanted = groupby(needed, key=attrgetter("key"))
    key, entries = next(wanted, (None, iter(())))
    for here, objects in groupby(listed, key=attrgetter("key")):
        while key is not None and key < here:
            key, entries = next(wanted, (None, iter(())))
        if storage.digest_of_blob(f"/{here}") is None:
            continue
        if key == here:
            yield from _other_versions(list(objects), {entry.version for entry in entries})
        else:
            yield from _all_of(objects, newest, waiting)


def _other_versions(objects: Sequence[Object], needed: set[str | None]) -> Iterator[Surplus]:
    """Of a blob that is needed: what lies over the version that is named, and what lies below it."""
    here = {each.version for each in objects if not each.deleted}
    if None in needed or not needed <= here:
        # Somebody relies on the key alone, or what was named is gone: what is there may be all that there is.
        return
    for each in objects:
        if each.version not in needed:
            yield _surplus(each, blob=False)


def _all_of(objects: Iterable[Object], newest: datetime, waiting: Waiting) -> Iterator[Surplus]:
    for each in objects:
        if datetime.fromisoformat(each.modified) > newest:
            if each.latest and not each.deleted:
                waiting.blobs += 1
                waiting.bytes += each.size
            continue
        yield _surplus(each, blob=each.latest and not each.deleted)


def _surplus(found: Object, *, blob: bool) -> Surplus:
    return Surplus(found.key, found.version, found.size, blob)
