"""Blobs and links into a registry's bucket, whether they come from a vault or from a directory's snapshot.

Blobs first, then the links of layers, revisions and tags, so that nothing refers to what is not there yet. A
mark below the root says whose restore is under way: one that was cut off goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from drkit.errors import BucketRefused, NotDeleted, ObjectMissing, WrongBytes
from drkit.harbor import storage
from drkit.harbor.closure import Blob
from drkit.model import BucketPlace, utc_now
from drkit.progress import Meter
from drkit.sources.bucket import links_archive
from drkit.sources.bucket.ends import below
from drkit.sources.bucket.inventory import Entry
from drkit.sources.bucket.links_archive import Link
from drkit.sources.bucket.restore import Fetched, Tally
from drkit.sources.vault.reading import WORKERS, Shelf, key_of
from drkit.tools import stopping
from drkit.tools.parallel import for_each
from drkit.tools.s3 import Bucket, Object
from drkit.tools.tar_stream import Member

MARK = ".drkit-restoring-"
# Blobs up to this size are held in memory to be put side by side, all of them together in this budget: on
# their way to the service each is there up to three times.
_SMALL = 4 << 20
_BUDGET = 16 << 20

_LAYER = re.compile(r"/_layers/sha256/")
_REVISION = re.compile(r"/_manifests/revisions/")
Links = Callable[[], Iterator[Link]]


class Filling:
    """A registry's root in a bucket, while a point is restored into it."""

    def __init__(self, target: Bucket, place: BucketPlace, point: str, meter: Meter) -> None:
        self._target = target
        self._place = place
        self._root = below(place)
        self._meter = meter
        self._mark = f"{below(place)}{MARK}{point}"
        self._point = point
        self._goes_on = False

    def begin(self) -> None:
        """Say that a restore is under way, or find that this point's was cut off."""
        self._goes_on = self._target.first(self._mark) is not None
        if not self._goes_on:
            said = {"point": self._point, "since": utc_now().isoformat(timespec="seconds")}
            self._target.put(self._mark, json.dumps(said).encode())

    def end(self) -> str:
        """Everything is there and was looked at: take the mark away; says so where that is not allowed."""
        try:
            self._target.delete([(self._mark, None)])
        except (BucketRefused, NotDeleted) as error:
            return f"everything is there, but {self._mark} could not be removed: {error.message}"
        return ""

    def from_vault(self, shelf: Shelf, entries: Iterable[Entry]) -> Fetched:
        """Bring blobs from the vault, by the server itself where it can; a wrong one stops no other."""
        tally = Tally()
        # A copy by the service is to be seen a moment before it is proved: one of an interrupted restore is
        # made again, which costs little. What went through here was hashed before it was put.
        present = iter(()) if self._target.same_service(shelf.bucket) else self._present()

        def bring(item: tuple[Entry, bool]) -> None:
            stopping.stop_if_asked()
            entry, there = item
            if there:
                tally.good(entry.size, kept=True)
            else:
                self._copy(shelf, entry, tally)
            self._meter.add(entry.size)

        for_each(_with_presence(entries, present), bring, WORKERS)
        return tally.found

    def from_archive(self, members: Iterable[Member]) -> Fetched:
        """Bring blobs from a tar of the blobs of a storage tree, each hashed before it is to be seen."""
        tally, budget = Tally(), _Budget(_BUDGET)

        def put_small(blob: _Small) -> None:
            try:
                stopping.stop_if_asked()
                self._put(blob.digest, len(blob.data), [blob.data], tally)
            finally:
                budget.give(len(blob.data))

        for_each(self._small_ones(members, tally, budget), put_small, WORKERS)
        return tally.found

    def links(self, source: Links) -> None:
        """Put the links, each kind when the one before is there."""
        for stage in (0, 1, 2):
            wanted = (link for link in source() if _stage(link.name) == stage)
            for_each(_absent(wanted, self._links_there(), self._root), self._put_link, WORKERS)

    def present(self) -> Iterator[Blob]:
        """Digest and size of every blob that is there, sorted by digest: a listing of this moment."""
        prefix = f"{self._root}{storage.BLOBS}/"
        for found in self._target.listed_at_once(prefix):
            digest = storage.digest_of_blob(f"/{found.key}")
            if digest:
                yield digest, found.size

    def census(self) -> Census:
        """What links are there now."""
        start = len(self._root)
        found = ((each.key[start:], each.size) for each in self._links_in_bucket())
        return Census.of((name, size) for name, size in found if links_archive.is_link(name))

    def _present(self) -> Iterator[Blob]:
        # What is there at the right size was put after its hash was right; a root that was empty has nothing.
        return self.present() if self._goes_on else iter(())

    def _links_there(self) -> Iterator[Object]:
        return self._links_in_bucket() if self._goes_on else iter(())

    def _links_in_bucket(self) -> Iterator[Object]:
        return self._target.listed_at_once(f"{self._root}{storage.REPOSITORIES}/")

    def _copy(self, shelf: Shelf, entry: Entry, tally: Tally) -> None:
        """Copy a blob, or tell what is wrong with it in the vault."""
        key, version = shelf.key(entry), shelf.version(entry)
        wanted = key_of(self._place, entry.digest)
        try:
            put = self._target.copy_blob(
                shelf.bucket, key, wanted, entry.size, entry.digest, source_version=version
            )
        except ObjectMissing:
            tally.fault(f"{entry.digest} is gone from the vault")
        except WrongBytes as error:
            tally.fault(error.message)
        else:
            tally.good(entry.size, by_service=put.server_side)

    def _small_ones(self, members: Iterable[Member], tally: Tally, budget: _Budget) -> Iterator[_Small]:
        """The small blobs of a tar, whole; bigger ones are put meanwhile, straight from the stream."""
        for member, there in _new_members(members, self._present()):
            stopping.stop_if_asked()
            digest = storage.digest_of_blob(f"/{member.name}")
            assert digest is not None
            if there:
                self._meter.add(member.size)
                tally.good(member.size, kept=True)
            elif member.size <= _SMALL:
                budget.take(member.size)
                yield _Small(digest, b"".join(member.pieces))
            else:
                self._put(digest, member.size, member.pieces, tally)

    def _put(self, digest: str, size: int, pieces: Iterable[bytes], tally: Tally) -> None:
        try:
            self._target.put_blob(key_of(self._place, digest), size, self._metered(pieces), digest)
        except WrongBytes as error:
            tally.fault(error.message)
        else:
            tally.good(size)

    def _metered(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            self._meter.add(len(piece))

    def _put_link(self, link: Link) -> None:
        stopping.stop_if_asked()
        self._target.put(f"{self._root}{link.name}", link.held)


class Census(NamedTuple):
    """How many links there are, and an order-free hash of their names and lengths: two streams compared.

    A directory's snapshot gives names in another order than a bucket does.
    """

    links: int
    hash: int

    @classmethod
    def of(cls, links: Iterable[tuple[str, int]]) -> Census:
        """Count them all."""
        count = total = 0
        for name, size in links:
            digest = hashlib.blake2b(f"{size} {name}".encode("utf-8", "surrogateescape"), digest_size=16)
            total = (total + int.from_bytes(digest.digest())) % (1 << 128)
            count += 1
        return cls(count, total)


class _Small(NamedTuple):
    digest: str
    data: bytes


class _Budget:
    """So many bytes may be held at once."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        with self._changed:
            while self._left < size:
                self._changed.wait(1)
                stopping.stop_if_asked()
            self._left -= size

    def give(self, size: int) -> None:
        with self._changed:
            self._left += size
            self._changed.notify_all()


def _stage(name: str) -> int:
    """When a link is put: those of layers, then of revisions, then of tags and of whatever else there is."""
    if _LAYER.search(name):
        return 0
    return 1 if _REVISION.search(name) else 2


def _with_presence(entries: Iterable[Entry], present: Iterator[Blob]) -> Iterator[tuple[Entry, bool]]:
    """Each entry, and whether a blob of its size is there; both streams are sorted by digest."""
    blob = next(present, None)
    for entry in entries:
        while blob is not None and blob[0] < entry.digest:
            blob = next(present, None)
        yield entry, blob == (entry.digest, entry.size)


def _new_members(members: Iterable[Member], present: Iterator[Blob]) -> Iterator[tuple[Member, bool]]:
    """The blobs of a tar likewise: restic gives names in their order, and what is not so is put again."""
    blob = next(present, None)
    for member in members:
        digest = storage.digest_of_blob(f"/{member.name}")
        if member.kind != "file" or digest is None:
            continue
        while blob is not None and blob[0] < digest:
            blob = next(present, None)
        yield member, blob == (digest, member.size)


def _absent(links: Iterable[Link], there: Iterator[Object], root: str) -> Iterator[Link]:
    """The links that are not there at their length; both streams are sorted by name."""
    found = next(there, None)
    for link in links:
        key = f"{root}{link.name}"
        order = links_archive.sort_key(key)
        while found is not None and links_archive.sort_key(found.key) < order:
            found = next(there, None)
        if found is None or (found.key, found.size) != (key, len(link.held)):
            yield link
