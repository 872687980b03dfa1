"""Comparing the digests that must be there with the blobs that are: one pass over two sorted streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter

from drkit.model import Closure, SizeMismatch
from drkit.tools.sorted_stream import SortedStream
from drkit.tools.tally import Tally

# (digest, size); a size of None is one that the database does not know, and so cannot be wrong.
Digest = tuple[str, int | None]
Blob = tuple[str, int]
Fault = Callable[[str, int | None], None]


@dataclass
class _Found:
    present: int = 0
    unreferenced_bytes: int = 0
    missing: Tally[str] = field(default_factory=Tally)
    mismatches: Tally[SizeMismatch] = field(default_factory=Tally)
    unreferenced: Tally[str] = field(default_factory=Tally)

    def spare(self, blob: Blob) -> None:
        self.unreferenced_bytes += blob[1]
        self.unreferenced.add(blob[0])

    def closure(self) -> Closure:
        return Closure(
            referenced=self.present + self.missing.count,
            present=self.present,
            missing=self.missing.count,
            size_mismatch=self.mismatches.count,
            unreferenced=self.unreferenced.count,
            missing_names=self.missing.first,
            mismatch_names=tuple(mismatch.digest for mismatch in self.mismatches.first),
            unreferenced_names=self.unreferenced.first,
            mismatches=self.mismatches.first,
            unreferenced_bytes=self.unreferenced_bytes,
        )


def closure(
    referenced: Iterable[Digest],
    present: Iterable[Blob],
    fault: Fault = lambda _digest, _size: None,
    excused: Callable[[str], bool] = lambda _digest: False,
) -> Closure:
    """Compare two streams sorted by digest, each digest once in each.

    `fault` is told of each missing or wrong-sized one, with the size that was recorded. A missing one that is
    `excused` was no reference.
    """
    found = _Found()
    stored = SortedStream(present, itemgetter(0))
    for digest, size in referenced:
        blob = stored.at(digest, found.spare)
        if blob is None:
            if not excused(digest):
                found.missing.add(digest)
                fault(digest, size)
            continue
        found.present += 1
        if size is not None and blob[1] != size:
            found.mismatches.add(SizeMismatch(digest, size, blob[1]))
            fault(digest, size)
    for blob in stored.rest():
        found.spare(blob)
    return found.closure()
