"""Which objects of a vault nobody needs: pure, one pass over the inventories and the vault's listing.

Both are sorted by digest, so that memory stays flat however many blobs there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import NamedTuple

from drkit.blobs.inventory import Entry
from drkit.registry import storage
from drkit.tools.s3.bucket import NULL_VERSION, Object
from drkit.tools.sorted_stream import SortedStream, grouped


class UnreferencedObject(NamedTuple):
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


def surplus(
    listed: Iterable[Object], needed: Iterable[Entry], top: str, newest: datetime, waiting: Waiting
) -> Iterator[UnreferencedObject]:
    """What of the vault's listing (with versions, where it keeps them) of `top` no entry needs.

    Nothing that is not a blob directly below `top` is ever named, nor a blob that was put after `newest`, the
    end of the newest sealed point, whose inventory would name it.
    """
    wanted = SortedStream(grouped(needed, attrgetter("key")), itemgetter(0))
    for here, objects in groupby(listed, key=attrgetter("key")):
        if not storage.is_blob_below(top, here):
            continue
        if found := wanted.at(here):
            yield from _other_versions(list(objects), found[1])
        else:
            yield from _all_of(objects, newest, waiting)


def _other_versions(objects: Sequence[Object], entries: Sequence[Entry]) -> Iterator[UnreferencedObject]:
    """Of a blob that is needed: what lies over the version that is named, and what lies below it.

    A later version of the same size stays: it may be the good copy of one that is damaged.
    """
    needed = {entry.version for entry in entries}
    here = {each.version: each for each in objects if not each.deleted}
    if not needed.isdisjoint((None, NULL_VERSION)) or not needed <= here.keys():
        # Somebody relies on the key alone, or what was named is gone (of a null version nobody knows that):
        # what is there may be all that there is.
        return
    newest = max(datetime.fromisoformat(here[version].modified) for version in needed)
    for each in objects:
        later = datetime.fromisoformat(each.modified) > newest
        if each.version not in needed and not (later and not each.deleted and each.size == entries[0].size):
            yield _surplus(each, blob=False)


def _all_of(objects: Iterable[Object], newest: datetime, waiting: Waiting) -> Iterator[UnreferencedObject]:
    for each in objects:
        if datetime.fromisoformat(each.modified) > newest:
            if each.latest and not each.deleted:
                waiting.blobs += 1
                waiting.bytes += each.size
            continue
        yield _surplus(each, blob=each.latest and not each.deleted)


def _surplus(found: Object, *, blob: bool) -> UnreferencedObject:
    return UnreferencedObject(found.key, found.version, found.size, blob)
