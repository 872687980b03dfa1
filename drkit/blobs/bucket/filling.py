"""Blobs and links into a registry's bucket, whether they come from a vault or from a directory's snapshot.

Blobs first, then the links of layers, revisions and tags, so that nothing refers to what is not there yet. A
mark below the root says whose restore is under way: one that was cut off goes on from there, if nothing else
is there. What it left is hashed before it is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from drkit.blobs.bucket import links_archive, links_packing
from drkit.blobs.bucket import plan as bucket_plan
from drkit.blobs.bucket.by_service import left_over
from drkit.blobs.bucket.cut_off import DONE, MARK, is_cut_off, surplus_names
from drkit.blobs.bucket.link_checksum import LinkChecksum
from drkit.blobs.bucket.links_archive import Link
from drkit.blobs.ends import below
from drkit.blobs.inventory import Entry
from drkit.blobs.units.executors import Executor
from drkit.blobs.units.sources import BucketSource
from drkit.blobs.units.targets import BucketTarget
from drkit.blobs.units.unit import Outcome, Wrong
from drkit.blobs.units.work import Copying
from drkit.blobs.vault.fetching import BlobCount, Fetched, told
from drkit.blobs.vault.reading import WORKERS, VaultReader, hashes_right, key_of
from drkit.errors import BucketRefused, NotDeleted, ObjectMissing, TargetNotEmpty, WrongBytes
from drkit.model import BucketPlace, utc_now
from drkit.progress import Meter
from drkit.registry import storage
from drkit.registry.closure import Blob
from drkit.tools.budget import Budget
from drkit.tools.parallel import for_each
from drkit.tools.process import stopping
from drkit.tools.s3.bucket import Bucket, Object
from drkit.tools.sorted_stream import SortedStream
from drkit.tools.tar.stream import Member

# Blobs up to this size are held in memory to be put side by side, all of them together in this budget: on
# their way to the service each is there up to three times.
_SMALL = 4 << 20
_BUDGET = 16 << 20

_LAYER = re.compile(r"/_layers/sha256/")
_REVISION = re.compile(r"/_manifests/revisions/")
Links = Callable[[], Iterator[Link]]


class BucketRestore:
    """A registry's root in a bucket, while a point is restored into it.

    Blobs up to `small` bytes are held in memory to be put side by side.
    """

    def __init__(
        self, target: Bucket, place: BucketPlace, point: str, meter: Meter, *, small: int = _SMALL
    ) -> None:
        self._small = small
        self._target = target
        self._place = place
        self._root = below(place)
        self._meter = meter
        self._mark = f"{below(place)}{MARK}{point}"
        self._point = point
        self._goes_on = False

    def begin(self, names: Callable[[], Iterator[str]], directory: Path) -> None:
        """Say that a restore is under way, or find that this point's was cut off.

        `names` are those of all blobs and links of the point, `directory` is the run's own. Raises
        TargetNotEmpty where somebody has written something else since.
        """
        self._goes_on = is_cut_off(self._target, self._place, self._point)
        if self._goes_on:
            self._refuse_others(names, directory)
        else:
            self._write_mark("since")

    def end(self) -> str:
        """Everything is there and was looked at: remove the mark; says so where that is not allowed."""
        try:
            self._target.delete([(self._mark, None)])
        except (BucketRefused, NotDeleted) as error:
            # A bucket that a registry uses must not look like an interrupted restore.
            self._write_mark(DONE)
            return f"everything is there, but {self._mark} could not be removed: {error.message}"
        return ""

    def _write_mark(self, what: str) -> None:
        said = {"point": self._point, what: utc_now().isoformat(timespec="seconds")}
        self._target.put(self._mark, json.dumps(said).encode())

    def _refuse_others(self, names: Callable[[], Iterator[str]], directory: Path) -> None:
        start = len(self._root)
        tree = f"{self._root}{storage.TREE.parts[0]}/"
        there = (each.key[start:] for each in self._target.listed_at_once(tree))
        count, first = surplus_names(there, names(), directory / "there.db")
        if count:
            raise TargetNotEmpty(
                f"{count} objects in {self._place.where} are not of point {self._point}, such as {first}:"
                " somebody has used it since its restore was cut off",
                hint="empty that place, or restore to another root or bucket",
            )

    def from_vault(
        self, shelf: VaultReader, entries: Iterable[Entry], executor: Executor, directory: Path
    ) -> Fetched:
        """Bring blobs from the vault, by the service itself where it can; a wrong one stops no other.

        `directory` is the run's own.
        """
        count, source = BlobCount(), BucketSource(shelf, any_copy=True)
        left: Iterable[Entry] = shelf.named(entries)
        if self._target.same_service(shelf.bucket):
            left = left_over(left, partial(self._by_service, source, count), directory)
        target = BucketTarget(self._target, self._place, resumes=self._goes_on)
        executor.run(left, Copying(source, target), partial(self._settle, shelf, count), self._meter)
        return count.found(executor.shared)

    def _by_service(self, source: BucketSource, count: BlobCount, entry: Entry) -> bool:
        """Whether the service has copied a blob by itself.

        A copy is to be seen a moment before it is proved: one of an interrupted restore is made again, which
        costs little.
        """
        vault, digest = source.shelf.bucket, entry.digest
        if not self._target.may_copy(vault, entry.size):
            return False
        key = key_of(self._place, digest)
        for copy in source.copies(entry):
            try:
                put = self._target.copy_by_service(
                    vault, copy.key, key, entry.size, digest, source_version=copy.version
                )
            except (ObjectMissing, WrongBytes):
                continue
            if put is None:
                break
            count.good(entry.size)
            self._meter.add(entry.size)
            return True
        return False

    def _settle(self, shelf: VaultReader, count: BlobCount, entry: Entry, found: Outcome) -> None:
        if isinstance(found, Wrong):
            shelf.faults.note(entry.digest)
            count.fault(told(entry, found))
            # An earlier run may have left it there, or the service has copied it and could not tell:
            # a registry would serve it, and there is no better one to be had.
            self._keeps(entry.digest)
        else:
            count.good(entry.size, kept=found.kept)

    def from_archive(self, members: Iterable[Member]) -> Fetched:
        """Bring blobs from a tar of the blobs of a storage tree, each hashed before it is to be seen."""
        count, budget = BlobCount(), Budget(_BUDGET)

        def put_small(blob: _Small) -> None:
            try:
                stopping.stop_if_asked()
                self._put(blob.digest, len(blob.data), [blob.data], count)
            finally:
                budget.give(len(blob.data))

        for_each(self._small_ones(members, count, budget), put_small, WORKERS)
        return count.found()

    def links(self, source: Links) -> None:
        """Put the links, each kind when the one before is there."""
        for now in (0, 1, 2):
            wanted = (link for link in source() if stage(link.name) == now)
            for_each(absent(wanted, self._links_there(), self._root), self._put_link, WORKERS)

    def present(self) -> Iterator[Blob]:
        """Digest and size of every blob that is there, sorted by digest: a listing of this moment."""
        top = f"{self._root}{storage.BLOBS}/sha256/"
        for found in bucket_plan.blobs(self._target.listed_at_once(top), top):
            yield found.digest, found.size

    def census(self) -> LinkChecksum:
        """What links are there now, and what they hold."""
        return LinkChecksum.of_bucket(self._target, self._place.prefix, self._links_in_bucket())

    def _present(self) -> Iterator[Blob]:
        # A root that was empty has nothing.
        return self.present() if self._goes_on else iter(())

    def _keeps(self, digest: str) -> bool:
        """Whether what is there under the name of a blob hashes to it: its size proves nothing.

        What does not is removed at once: a registry would serve it, if there is no better one to be had.
        """
        key = key_of(self._place, digest)
        right = hashes_right(self._target, key, digest)
        if right is False:
            self._target.delete([(key, None)])
        return right is True

    def _links_there(self) -> Iterator[Object]:
        return self._links_in_bucket() if self._goes_on else iter(())

    def _links_in_bucket(self) -> Iterator[Object]:
        return self._target.listed_at_once(f"{self._root}{storage.REPOSITORIES}/")

    def _small_ones(self, members: Iterable[Member], count: BlobCount, budget: Budget) -> Iterator[_Small]:
        """The small blobs of a tar, whole; bigger ones are put meanwhile, straight from the stream."""
        for member, there in _new_members(members, self._present()):
            stopping.stop_if_asked()
            digest = storage.digest_of_blob(f"/{member.name}")
            assert digest is not None
            if there and member.size > self._small and self._keeps(digest):
                self._meter.add(member.size)
                count.good(member.size, kept=True)
            elif member.size <= self._small:
                # One that is there is put once more: to read it takes as long.
                budget.take(member.size)
                yield _Small(digest, b"".join(member.pieces))
            else:
                self._put(digest, member.size, member.pieces, count)

    def _put(self, digest: str, size: int, pieces: Iterable[bytes], count: BlobCount) -> None:
        try:
            self._target.put_blob(key_of(self._place, digest), size, self._metered(pieces), digest)
        except WrongBytes as error:
            count.fault(error.message)
        else:
            count.good(size)

    def _metered(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            self._meter.add(len(piece))

    def _put_link(self, link: Link) -> None:
        stopping.stop_if_asked()
        self._target.put(f"{self._root}{link.name}", link.held)


class _Small(NamedTuple):
    digest: str
    data: bytes


def stage(name: str) -> int:
    """When a link is put: those of layers, then of revisions, then of tags and of whatever else there is."""
    if _LAYER.search(name):
        return 0
    return 1 if _REVISION.search(name) else 2


def _new_members(members: Iterable[Member], present: Iterator[Blob]) -> Iterator[tuple[Member, bool]]:
    """The blobs of a tar, and whether one of that size is there; both streams are sorted by digest.

    restic gives names in their order; what is not so is put again.
    """
    there = SortedStream(present, itemgetter(0))
    for member in members:
        digest = storage.digest_of_blob(f"/{member.name}")
        if member.kind != "file" or digest is None:
            continue
        yield member, there.at(digest) == (digest, member.size)


def absent(links: Iterable[Link], there: Iterator[Object], root: str) -> Iterator[Link]:
    """The links that are not there with what they hold; both streams are sorted by name.

    The ETag of so small an object is nearly always its MD5; where it is not, the link is put again.
    """
    listed = SortedStream(there, lambda found: links_archive.sort_key(found.key))
    for link in links:
        found = listed.at(links_archive.sort_key(f"{root}{link.name}"))
        if found is None or found.etag != links_packing.md5(link.held):
            yield link
