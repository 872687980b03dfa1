"""What of the images did not come back, in sentences: the count, and the first twenty by name."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from drkit.blobs.bucket.links_archive import Link
from drkit.blobs.directory.cleaning import is_whole_link
from drkit.blobs.vault.fetching import Fetched
from drkit.model import Closure
from drkit.reports.units import counted
from drkit.tools.tally import FIRST


class WrongBlobs:
    """Blobs whose bytes do not hash to their names; several threads may add to it."""

    def __init__(self) -> None:
        self.digests: list[str] = []
        self._lock = threading.Lock()

    def add(self, digest: str) -> None:
        """Remember one."""
        with self._lock:
            self.digests.append(digest)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What there is to say."""
        one, many = "blob does not hash to its name", "blobs do not hash to their names"
        return _named(len(self.digests), sorted(self.digests), one, many)


def said(found: Closure) -> str:
    """Whether all is there that the point refers to."""
    more = f", {found.unreferenced:,} unreferenced" if found.unreferenced else ""
    if not found.referenced:
        return f"no blob is referred to{more}"
    if found.whole:
        return f"all {found.referenced:,} blobs that are referred to are there{more}"
    return f"{found.present - found.size_mismatch:,} of {found.referenced:,} blobs that are referred to{more}"


def with_lost(found: Closure, backup: Closure | None) -> Closure:
    """A closure over the list of digests, with what the backup found that manifests need and nothing has."""
    proof = backup.manifests if backup else None
    if proof is None:
        return found
    return replace(
        found,
        referenced=found.referenced + proof.lost,
        missing=found.missing + proof.lost,
        missing_names=(*found.missing_names, *proof.lost_names),
    )


def gaps(found: Closure) -> tuple[str, ...]:
    """Blobs that images need and that are not there, or not at the size that was recorded."""
    return (
        *_named(
            found.missing,
            found.missing_names,
            "blob that images need is not there",
            "blobs that images need are not there",
        ),
        *_named(
            found.size_mismatch,
            found.mismatch_names,
            "blob has another size than was recorded",
            "blobs have another size than was recorded",
        ),
    )


def bad(fetched: Fetched) -> tuple[str, ...]:
    """Blobs that a vault or a snapshot had wrongly, or not at all."""
    return _named(fetched.bad, fetched.faults, "blob cannot be fetched", "blobs cannot be fetched")


def cut(links: Iterable[str]) -> tuple[str, ...]:
    """Links that are no links."""
    names = sorted(links)
    one = "link is empty or truncated, and was left out"
    return _named(len(names), names, one, "links are empty or truncated, and were left out")


def whole(links: Iterable[Link], cut_short: set[str]) -> Iterator[Link]:
    """The links as they should be; the names of the others are added to `cut_short`."""
    for link in links:
        if is_whole_link(len(link.held)):
            yield link
        else:
            cut_short.add(link.name)


def _named(count: int, names: Sequence[str], one: str, many: str) -> tuple[str, ...]:
    if not count:
        return ()
    shown = ", ".join(names[:FIRST])
    more = f" and {count - FIRST:,} more" if count > FIRST else ""
    return (f"{counted(count, one, many)}: {shown}{more}",)
