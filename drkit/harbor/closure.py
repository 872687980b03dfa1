"""Comparing the digests that must be there with the blobs that are: one pass over two sorted streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from drkit.model import Closure, SizeMismatch

# (digest, size); a size of None is one that the database does not know, and so cannot be wrong.
Digest = tuple[str, int | None]
Blob = tuple[str, int]
Fault = Callable[[str, int | None], None]

# So many of each kind are named; all are counted.
NAMES = 20


@dataclass
class _Tally:
    referenced: int = 0
    present: int = 0
    missing: int = 0
    size_mismatch: int = 0
    unreferenced: int = 0
    unreferenced_bytes: int = 0
    missing_names: list[str] = field(default_factory=list)
    unreferenced_names: list[str] = field(default_factory=list)
    mismatches: list[SizeMismatch] = field(default_factory=list)

    def lack(self, digest: str) -> None:
        self.missing += 1
        if len(self.missing_names) < NAMES:
            self.missing_names.append(digest)

    def differ(self, digest: str, recorded: int, stored: int) -> None:
        self.size_mismatch += 1
        if len(self.mismatches) < NAMES:
            self.mismatches.append(SizeMismatch(digest, recorded, stored))

    def spare(self, blob: Blob) -> None:
        self.unreferenced += 1
        self.unreferenced_bytes += blob[1]
        if len(self.unreferenced_names) < NAMES:
            self.unreferenced_names.append(blob[0])

    def closure(self) -> Closure:
        return Closure(
            referenced=self.referenced,
            present=self.present,
            missing=self.missing,
            size_mismatch=self.size_mismatch,
            unreferenced=self.unreferenced,
            missing_names=tuple(self.missing_names),
            mismatch_names=tuple(mismatch.digest for mismatch in self.mismatches),
            unreferenced_names=tuple(self.unreferenced_names),
            mismatches=tuple(self.mismatches),
            unreferenced_bytes=self.unreferenced_bytes,
        )


def closure(
    referenced: Iterable[Digest], present: Iterable[Blob], fault: Fault = lambda _digest, _size: None
) -> Closure:
    """Compare two streams sorted by digest, each digest once in each.

    `fault` is told of each missing or wrong-sized one, with the size that was recorded.
    """
    tally = _Tally()
    stored = iter(present)
    blob = next(stored, None)
    for digest, size in referenced:
        tally.referenced += 1
        while blob is not None and blob[0] < digest:
            tally.spare(blob)
            blob = next(stored, None)
        if blob is None or blob[0] != digest:
            tally.lack(digest)
            fault(digest, size)
            continue
        tally.present += 1
        if size is not None and blob[1] != size:
            tally.differ(digest, size, blob[1])
            fault(digest, size)
        blob = next(stored, None)
    while blob is not None:
        tally.spare(blob)
        blob = next(stored, None)
    return tally.closure()
