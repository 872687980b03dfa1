"""What an audit makes of three sorted streams: what is needed, what is stored, what is linked; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from drkit.blobs.link_index import Linked
from drkit.blobs.live import Stored
from drkit.registry.closure import Digest
from drkit.tools.tally import Tally

# What no project's links name.
NOWHERE = ""
# Sorts after every digest.
_END = "~"


class FaultKind(StrEnum):
    """What an audit calls damage."""

    MISSING = "missing"
    WRONG_SIZE = "wrong_size"
    WRONG_BYTES = "wrong_bytes"
    BAD_LINK = "bad_link"
    MISSING_LINK = "missing_link"
    DANGLING_TAG = "dangling_tag"
    DANGLING_ROW = "dangling_row"
    BAD_MANIFEST = "bad_manifest"
    UNLISTED = "unlisted"


# What bytes from a recovery point mend.
OF_BLOBS = (FaultKind.MISSING, FaultKind.WRONG_SIZE, FaultKind.WRONG_BYTES)


class Verdict(StrEnum):
    """What there is to say of one digest."""

    SOUND = "sound"
    MISSING = "missing"
    WRONG_SIZE = "wrong_size"
    UNREFERENCED = "unreferenced"
    # Layers that are fetched from elsewhere, children that were never pushed, and what garbage collection
    # leaves links of.
    LEFT = "left"


class Seen(NamedTuple):
    """A digest that is needed, stored or linked; `recorded` is its size where somebody knows it."""

    digest: str
    needed: bool
    recorded: int | None
    stored: Stored | None
    projects: tuple[str, ...]


def joined(needed: Iterable[Digest], stored: Iterable[Stored], linked: Iterable[Linked]) -> Iterator[Seen]:
    """One pass over the three streams, each sorted by digest with each digest once."""
    needs, blobs, links = iter(needed), iter(stored), iter(linked)
    need, blob, link = next(needs, None), next(blobs, None), next(links, None)
    while True:
        wanted = need[0] if need else _END
        there = blob[0] if blob else _END
        named = link[0] if link else _END
        digest = min(wanted, there, named)
        if digest == _END:
            return
        projects: tuple[str, ...] = ()
        recorded, found, is_needed = None, None, False
        if wanted == digest and need:
            recorded, is_needed = need[1], True
            need = next(needs, None)
        if there == digest:
            found, blob = blob, next(blobs, None)
        if named == digest and link:
            projects, link = link[1], next(links, None)
        yield Seen(digest, is_needed, recorded, found, projects)


def judge(seen: Seen, excused: Callable[[str], bool] = lambda _digest: False) -> Verdict:
    """The verdict on a digest; one that is `excused` need not be stored."""
    if seen.stored is None:
        absent = seen.needed and not excused(seen.digest)
        return Verdict.MISSING if absent else Verdict.LEFT
    if not seen.needed:
        return Verdict.UNREFERENCED
    if seen.recorded is not None and seen.recorded != seen.stored.size:
        return Verdict.WRONG_SIZE
    return Verdict.SOUND


@dataclass
class Figures:
    """What was counted, of a project or of all; sizes in bytes."""

    blobs: int = 0
    bytes: int = 0
    unreferenced: int = 0
    unreferenced_bytes: int = 0
    faults: dict[FaultKind, int] = field(default_factory=dict)

    def store(self, size: int, *, referenced: bool) -> None:
        """A blob that is there."""
        self.blobs += 1
        self.bytes += size
        if not referenced:
            self.unreferenced += 1
            self.unreferenced_bytes += size

    def fault(self, kind: FaultKind, count: int = 1) -> None:
        """A fault, or several."""
        self.faults[kind] = self.faults.get(kind, 0) + count


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, in words; `project` is the first that it concerns, if that is known."""

    kind: FaultKind
    said: str
    project: str


class Account:
    """Everything that an audit has counted, by project as well.

    A blob that several projects link counts in each of them, and once in the total.
    """

    def __init__(self, young_since: float) -> None:
        self.total = Figures()
        self.projects: dict[str, Figures] = {}
        self.referenced = 0
        self.young = 0
        self.young_bytes = 0
        self.left = 0
        self._young_since = young_since
        self._named: dict[FaultKind, Tally[Fault]] = {}

    def count(self, seen: Seen, verdict: Verdict) -> None:
        """A digest with its verdict; what is missing or of the wrong size is told later, by `fault`."""
        self.referenced += seen.needed
        if verdict is Verdict.LEFT:
            self.left += not seen.needed
            self.referenced -= seen.needed
        if seen.stored is None:
            return
        size, referenced = seen.stored.size, verdict is not Verdict.UNREFERENCED
        for figures in (self.total, *map(self.of, seen.projects or (NOWHERE,))):
            figures.store(size, referenced=referenced)
        if not referenced and seen.stored.modified > self._young_since:
            self.young += 1
            self.young_bytes += size

    def gone(self) -> None:
        """A digest that was counted as referenced is not: the registry has let go of it meanwhile."""
        self.referenced -= 1

    def fault(self, kind: FaultKind, said: str, projects: Iterable[str] = (), count: int = 1) -> None:
        """Something is wrong, `count` times."""
        first = NOWHERE
        self.total.fault(kind, count)
        for project in projects:
            first = first or project
            self.of(project).fault(kind, count)
        self._named.setdefault(kind, Tally()).add(Fault(kind, said, first))

    def of(self, project: str) -> Figures:
        """The figures of a project."""
        found = self.projects.get(project)
        if found is None:
            found = self.projects[project] = Figures()
        return found

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Up to twenty of each kind."""
        return tuple(fault for kind in FaultKind if kind in self._named for fault in self._named[kind].first)


_WORDS = {
    FaultKind.MISSING: ("{} blob is missing", "{} blobs are missing"),
    FaultKind.WRONG_SIZE: ("{} blob has the wrong size", "{} blobs have the wrong size"),
    FaultKind.WRONG_BYTES: ("{} blob does not hash to its name", "{} blobs do not hash to their names"),
    FaultKind.BAD_LINK: ("{} link is empty or wrong", "{} links are empty or wrong"),
    FaultKind.MISSING_LINK: ("{} link to a layer is missing", "{} links to layers are missing"),
    FaultKind.DANGLING_TAG: ("{} tag leads to no image", "{} tags lead to no image"),
    FaultKind.DANGLING_ROW: ("{} row leads nowhere", "{} rows lead nowhere"),
    FaultKind.BAD_MANIFEST: ("{} manifest cannot be used", "{} manifests cannot be used"),
    FaultKind.UNLISTED: (
        "{} digest that a manifest needs is on no list",
        "{} digests that manifests need are on no list",
    ),
}


def in_words(faults: dict[FaultKind, int]) -> str:
    """`2 blobs are missing, 1 link is empty or wrong`."""
    return ", ".join(
        _WORDS[kind][faults[kind] != 1].format(f"{faults[kind]:,}") for kind in FaultKind if faults.get(kind)
    )
