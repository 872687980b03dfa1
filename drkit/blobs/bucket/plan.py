"""What a backup of a bucket has to do: decided in one pass over three sorted streams.

The source's blobs, the vault's, and the inventory of the point before, each sorted by digest: what the vault
has already stays, what it lacks is to be copied, and a lock that ends too early is to be extended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from drkit.blobs.inventory import Entry
from drkit.errors import ToolFailed
from drkit.registry import storage
from drkit.tools.s3.bucket import NULL_VERSION, Object
from drkit.tools.sorted_stream import SortedStream
from drkit.tools.tally import Tally


class Blob(NamedTuple):
    """A blob of a listing: its digest, its key, its size in bytes, and its version where there are any."""

    digest: str
    key: str
    size: int
    version: str | None = None


class Missing(NamedTuple):
    """A blob that the vault lacks: where its bytes are, and where they are to go."""

    digest: str
    source_key: str
    key: str
    size: int


@dataclass
class PlanCount:
    """What a plan came upon; complete when the plan has been read to its end.

    `vanished` counts blobs that the vault had for the point before and that somebody else has removed or
    written over since; some by name.
    """

    blobs: int = 0
    bytes: int = 0
    missing: int = 0
    missing_bytes: int = 0
    vanished: Tally[str] = field(default_factory=Tally)


@dataclass
class Nested:
    """Objects below the blobs of a tree that bear the name of a blob and belong to a tree within it."""

    count: int = 0
    first: str = ""


def blobs(
    listed: Iterable[Object], top: str, nested: Nested | None = None, *, suspended: bool = False
) -> Iterator[Blob]:
    """The blobs of a listing of `top` (`.../blobs/sha256/`): of each key the newest version.

    Not where that is a delete marker. A copy of a tree that somebody has put into it is none of its blobs: a
    registry does not serve it. Of a bucket whose versioning is `suspended` the null version is none: the next
    object of its key takes its place.
    """
    last = ""
    for found in listed:
        if found.deleted or not found.latest:
            continue
        digest = storage.digest_of_blob(found.key)
        if digest is None:
            continue
        if not storage.is_blob_below(top, found.key):
            if nested is not None:
                nested.count += 1
                nested.first = nested.first or found.key
            continue
        if digest <= last:
            raise ToolFailed(
                f"a bucket's listing is out of order: {digest} after {last}",
                hint="a service whose listings are not sorted cannot be compared as a stream",
            )
        last = digest
        version = None if suspended and found.version == NULL_VERSION else found.version
        yield Blob(digest, found.key, found.size, version)


def needed(source: Iterable[Blob], entries: Iterable[Entry]) -> Iterator[Blob]:
    """The blobs that the entries name; both sorted by digest."""
    wanted = SortedStream(entries, attrgetter("digest"))
    return (blob for blob in source if wanted.at(blob.digest) is not None)


def plan(
    source: Iterable[Blob],
    vault: Iterable[Blob],
    before: Iterable[Entry],
    prefix: str,
    until: datetime | None,
    count: PlanCount,
    damaged: Collection[str] = frozenset(),
) -> Iterator[Entry | Missing]:
    """What each blob of the source needs: nothing (its Entry), or to be copied (Missing); sorted by digest.

    A vault's blob is trusted for its digest and size: it came there only since its bytes were right. One that
    is another version than that of the point before is copied anew, and so is a `damaged` one. An
    Entry without `locked_until` is to be locked, where `until` is set: nobody knows of a lock that lasts.
    """
    held = SortedStream(vault, attrgetter("digest"))
    known = SortedStream(before, attrgetter("digest"))
    for blob in source:
        count.blobs += 1
        count.bytes += blob.size
        here = held.at(blob.digest)
        entry = known.at(blob.digest)
        if here is None or here.size != blob.size or _is_another(entry, here) or blob.digest in damaged:
            count.missing += 1
            count.missing_bytes += blob.size
            if entry is not None and blob.digest not in damaged:
                count.vanished.add(blob.digest)
            yield Missing(blob.digest, blob.key, f"{prefix}{storage.blob_name(blob.digest)}", blob.size)
            continue
        found = Entry(here.digest, here.key, here.size, here.version)
        if entry is not None and until is not None and _lasts(entry, found, until):
            found = found._replace(locked_until=entry.locked_until)
        yield found


def _is_another(before: Entry | None, here: Blob) -> bool:
    """Whether somebody has put another version over the one that the point before names."""
    return before is not None and before.version not in (None, here.version or NULL_VERSION)


def _lasts(before: Entry, now: Entry, until: datetime) -> bool:
    """Whether the very same version is locked for long enough already."""
    return before.version == now.version and before.locked_until is not None and before.locked_until >= until
