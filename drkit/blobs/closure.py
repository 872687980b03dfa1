"""Proving that a capture of the blobs is whole: what is in the snapshot against what must be in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from drkit.blobs import digests
from drkit.blobs.directory.listing import Special, captured_at_once, captured_links, captured_tree
from drkit.blobs.link_spool import LinkSpool
from drkit.blobs.survey import ARTIFACTS, Survey, Surveyor
from drkit.errors import ToolFailed
from drkit.model import Closure, LinkProof
from drkit.registry import closure, links
from drkit.registry.closure import Blob, Digest
from drkit.tools.parallel import side_by_side
from drkit.tools.restic.output import Saved
from drkit.tools.restic.repository import Repository
from drkit.tools.tally import Tally

# Told of a blob in production whose bytes are not what its name says.
DAMAGED = -1
# From so many files on, starting more restics takes less time than they save.
_MANY = 100_000


@dataclass(frozen=True)
class Damage:
    """What is wrong with a closure: in production too (its own damage), or in the capture alone (ours).

    `gone` names up to twenty digests that production has no bytes of: perhaps collected a moment ago.
    """

    in_production: int
    in_capture: int
    lost: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


class Compared(NamedTuple):
    """A closure, and whose fault its gaps are."""

    closure: Closure
    damage: Damage


def compare(
    look: Callable[[str], int | None],
    referenced: Iterable[Digest],
    present: Iterable[Blob],
    excused: Callable[[str], bool] = lambda _digest: False,
) -> Compared:
    """The closure of a capture, and whose fault its gaps are: each is looked up in production at once.

    `look` tells the size of a digest's blob in production, None where it is not there, and DAMAGED where its
    bytes are known to be wrong. What is missing and `excused` is no reference.
    """
    lost, gone = Tally[str](), Tally[str]()
    counts = {"production": 0, "capture": 0}

    def fault(digest: str, size: int | None) -> None:
        found = look(digest)
        ours = found not in (None, DAMAGED) and size in (None, found)
        counts["capture" if ours else "production"] += 1
        names = lost if ours else gone
        if ours or found is None:
            names.add(digest)

    compared = closure.closure(referenced, present, fault, excused)
    damage = Damage(counts["production"], counts["capture"], lost.first, gone.first)
    return Compared(compared, damage)


@dataclass(frozen=True)
class Proof:
    """The result: the closure, whose fault its gaps are, and sentences for the user."""

    root: str
    closure: Closure
    damage: Damage

    @classmethod
    def of(cls, root: str, compared: Compared, survey: Survey, seen: LinkProof, seconds: float) -> Proof:
        """Everything that was found out, put together."""
        whole = replace(
            compared.closure,
            seconds=seconds,
            links=seen,
            manifests=survey.proof,
            dangling=survey.dangling,
            dangling_names=survey.dangling_names,
        )
        return cls(root, whole, compared.damage)

    @property
    def gone(self) -> tuple[str, ...]:
        """Some digests that production has no bytes of."""
        return self.damage.gone

    @property
    def warnings(self) -> tuple[str, ...]:
        """Damage that production has as well, each kind in a sentence that names some."""
        found = (self._nothing(), self._blobs(), self._links(), *self._manifests(), self._dangling())
        return tuple(filter(None, found))

    def raise_if_torn(self) -> None:
        """Raise ToolFailed where the capture lacks what production has, or where nothing at all is there."""
        if self.damage.in_capture:
            names = ", ".join(self.damage.lost[:3])
            raise ToolFailed(
                f"{self.damage.in_capture} blobs are in production but not in the snapshot: {names}",
                hint="run the backup again",
            )
        if self.closure.referenced and not self.closure.present:
            raise ToolFailed(
                f"none of the {self.closure.referenced} blobs that are referred to is in {self.root}",
                hint="is the right volume mounted there?"
                if self.root.startswith("/")
                else "see bucket and root in [blobs]",
            )

    def _nothing(self) -> str:
        """A closure over nothing is whole, and proves nothing."""
        if self.closure.referenced:
            return ""
        if self.closure.unreferenced:
            return (
                f"nothing refers to any of the {self.closure.unreferenced:,} blobs in {self.root}: "
                "is it the database of this registry?"
            )
        return f"there is not one image in {self.root}"

    def _blobs(self) -> str:
        if not self.damage.in_production:
            return ""
        names = ", ".join((self.closure.missing_names + self.closure.mismatch_names)[:3])
        return (
            f"production is damaged: {self.damage.in_production} blobs that are referred to "
            f"are missing or have the wrong size: {names}"
        )

    def _links(self) -> str:
        found = self.closure.links
        if not found or not found.bad:
            return ""
        names = ", ".join(found.bad_names[:3])
        return f"links are empty or truncated, and a registry fails on each ({found.bad:,}): {names}"

    def _dangling(self) -> str:
        if not self.closure.dangling:
            return ""
        more = self.closure.dangling - len(self.closure.dangling_names)
        return (
            f"production does not serve {self.closure.dangling:,} of the things that its tree names, nor will"
            f" what is restored: {'; '.join(self.closure.dangling_names)}"
            f"{f'; and {more:,} more' if more else ''}"
        )

    def _manifests(self) -> Iterator[str]:
        found = self.closure.manifests
        if found and found.faults:
            yield f"{found.faults} manifests cannot be used: {'; '.join(found.fault_names[:3])}"
        if found and found.unlisted:
            names = "; ".join(found.unlisted_names[:3])
            yield f"{found.unlisted} digests are needed by manifests and known to no table or link: {names}"


class Prover:
    """Proves what was saved of a registry's root directory; the surveyor's directory is the run's own.

    From `many` files on, blobs and links are listed apart, as far as there are `processors` for it.
    """

    def __init__(
        self,
        repository: Repository,
        root: Path,
        saved: Saved,
        surveyor: Surveyor,
        *,
        many: int = _MANY,
        processors: int | None = None,
    ) -> None:
        self._many = many
        self._processors = processors or os.cpu_count() or 1
        self._repository = repository
        self._root = root
        self._snapshot = saved.snapshot
        self._files = saved.files
        self._surveyor = surveyor
        self._links = links.LinkCount()
        self._special = Special()
        self._links_seen = False

    def prove(self, listed: Path, surveyed: Callable[[], Survey]) -> Proof:
        """Compare the snapshot with a database's list, and add what `surveyed` comes to beside that.

        Raises ToolFailed where the snapshot has links or other special files in it.
        """
        started = time.monotonic()

        def excused(digest: str) -> bool:
            return digest in surveyed().elsewhere

        with side_by_side() as tasks:
            compared = tasks.begin("blobs", lambda: self._compare(listed, excused))
            survey = tasks.begin("manifests", surveyed)
            links = tasks.begin("links", self._look_at_links) if self._files >= self._many else None
        found = compared(), survey()
        if links is not None:
            links()
        return self._proof(*found, started)

    def prove_by_links(self, listed: Path) -> Proof:
        """Compare the snapshot with what its own links refer to, and write the list of that.

        Raises as `prove` does.
        """
        started = time.monotonic()
        directory = self._surveyor.directory
        spool = LinkSpool(directory)
        where = (self._repository, self._snapshot, str(self._root))
        for path in captured_links(*where, self._links, self._special):
            spool.notice(path)
        self._links_seen = True
        spool.write(listed, directory / ARTIFACTS)
        compared, survey = self._surveyor.by_links(spool, listed, partial(self._compare, listed))
        return self._proof(compared, survey, started)

    def _proof(self, compared: Compared, survey: Survey, started: float) -> Proof:
        self._special.raise_if_any()
        took = round(time.monotonic() - started, 3)
        return Proof.of(str(self._root), compared, survey, self._links.proof(), took)

    def _look_at_links(self) -> None:
        where = (self._repository, self._snapshot, str(self._root))
        for _ in captured_links(*where, self._links, self._special):
            pass

    def _compare(self, listed: Path, excused: Callable[[str], bool]) -> Compared:
        present = self._present(digests.count(listed))
        return compare(self._surveyor.production.size, digests.from_file(listed), present, excused)

    def _present(self, blobs: int) -> Iterator[Blob]:
        """The blobs of the snapshot, about so many; looks at its links as well where that spares a restic."""
        where = (self._repository, self._snapshot, str(self._root))
        if self._files < self._many and not self._links_seen:
            return captured_tree(*where, self._links, self._special)
        return captured_at_once(*where, self._surveyor.directory, self._restics(blobs), self._special)

    def _restics(self, blobs: int) -> int:
        """How many restics list about so many blobs: one a processor, of which many links take one."""
        if blobs < self._many:
            return 1
        links_too = not self._links_seen and self._files - blobs > blobs // 4
        return max(1, min(4, self._processors - links_too))
