"""Which objects of a vault nobody needs: pure, one pass over the inventories and the vault's listing.

Both are sorted by digest, so that memory stays flat however many blobs there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from drkit.harbor import storage
from drkit.sources.bucket.inventory import Entry
from drkit.tools.s3 import Object


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
