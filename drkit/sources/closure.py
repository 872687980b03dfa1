"""Proving that a capture of the blobs is whole: what is in the snapshot against what must be in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from drkit.errors import DrkitError, ToolFailed
from drkit.harbor import closure, links, manifests, storage
from drkit.harbor.closure import Blob, Digest
from drkit.model import Closure, ManifestProof
from drkit.sources import digests
from drkit.sources.link_spool import LinkSpool
from drkit.sources.listing import captured_at_once, captured_links, captured_tree
from drkit.sources.manifests import Memory
from drkit.tools.parallel import together
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved

# The manifests of the images, beside the list of all digests.
ARTIFACTS = "artifacts.jsonl"
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


def compare(
    look: Callable[[str], int | None], referenced: Iterable[Digest], present: Iterable[Blob]
) -> tuple[Closure, Damage]:
    """The closure of a capture, and whose fault its gaps are: each is looked up in production at once.

    `look` tells the size of a digest's blob in production, None where it is not there, and DAMAGED where its
    bytes are known to be wrong.
    """
    lost: list[str] = []
    gone: list[str] = []
    counts = {"production": 0, "capture": 0}

    def fault(digest: str, size: int | None) -> None:
        found = look(digest)
        ours = found not in (None, DAMAGED) and size in (None, found)
        counts["capture" if ours else "production"] += 1
        names = lost if ours else gone
        if (ours or found is None) and len(names) < closure.NAMES:
            names.append(digest)

    compared = closure.closure(referenced, present, fault)
    return compared, Damage(counts["production"], counts["capture"], tuple(lost), tuple(gone))


def size_on_disk(root: Path, digest: str) -> int | None:
    """The size of a blob in production, or None where it is not there; raises ToolFailed."""
    path = storage.blob_path(root, digest)
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ToolFailed(f"cannot look at {path}: {error.strerror}") from None


@dataclass(frozen=True)
class Proof:
    """What came of it: the closure, whose fault its gaps are, and sentences for the user."""

    root: str
    closure: Closure
    damage: Damage

    @property
    def gone(self) -> tuple[str, ...]:
        """Some digests that production has no bytes of."""
        return self.damage.gone

    @property
    def warnings(self) -> tuple[str, ...]:
        """Damage that production has as well, each kind in a sentence that names some."""
        return tuple(filter(None, (self._nothing(), self._blobs(), self._links(), *self._manifests())))

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
                f"none of the {self.closure.referenced} blobs that the database refers to is in {self.root}",
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
            f"production is damaged: {self.damage.in_production} blobs that the database refers to "
            f"are missing or have the wrong size: {names}"
        )

    def _links(self) -> str:
        found = self.closure.links
        if not found or not found.bad:
            return ""
        names = ", ".join(found.bad_names[:3])
        return f"{found.bad} links are empty or cut short, and a registry fails on each: {names}"

    def _manifests(self) -> Iterator[str]:
        found = self.closure.manifests
        if found and found.faults:
            yield f"{found.faults} manifests cannot be used: {'; '.join(found.fault_names[:3])}"
        if found and found.unlisted:
            names = "; ".join(found.unlisted_names[:3])
            yield f"{found.unlisted} digests are needed by manifests and known to no table or link: {names}"


def prove_manifests(root: Path, directory: Path, listed: Path, memory: Path) -> ManifestProof:
    """Compare the list of digests with what the manifests on disk need; asks no snapshot.

    `directory` is the run's own, with ARTIFACTS in it. Raises ToolFailed where the memory cannot be kept.
    """
    with Memory(memory) as store:
        roots = digests.from_file(directory / ARTIFACTS)
        return store.prove(partial(manifests.read, root), roots, digests.from_file(listed))


class Prover:
    """Proves what was saved of a registry's root directory; `directory` is the run's own."""

    def __init__(self, repository: Repository, root: Path, saved: Saved, directory: Path) -> None:
        self._repository = repository
        self._root = root
        self._snapshot = saved.snapshot
        self._files = saved.files
        self._directory = directory
        self._links = links.Tally()
        self._links_seen = False
        self._compared: tuple[Closure, Damage] | None = None
        self._proved: ManifestProof | None = None

    def list_links(self, listed: Path) -> int:
        """Without a database, what must be there is what the tree's own links refer to; returns how many."""
        spool = LinkSpool(self._directory)
        for digest, revision in captured_links(
            self._repository, self._snapshot, str(self._root), self._links
        ):
            spool.add(digest, revision=revision)
        self._links_seen = True
        return spool.write(listed, self._directory / ARTIFACTS)

    def _look_at_links(self) -> None:
        for _ in captured_links(self._repository, self._snapshot, str(self._root), self._links):
            pass

    def prove(self, listed: Path, proved: Callable[[], ManifestProof]) -> Proof:
        """Compare the snapshot with the list, and add what `proved` comes to beside that."""
        started = time.monotonic()
        work: dict[str, Callable[[], object]] = {
            "blobs": lambda: self._compare(listed),
            "manifests": lambda: self._keep(proved()),
        }
        if not self._links_seen and self._files >= _MANY:
            work["links"] = self._look_at_links
        done = together(work)
        for outcome in done.values():
            if isinstance(outcome, DrkitError):
                raise outcome
        assert self._compared is not None
        found, damage = self._compared
        took = round(time.monotonic() - started, 3)
        whole = replace(found, seconds=took, links=self._links.proof(), manifests=self._proved)
        return Proof(str(self._root), whole, damage)

    def _compare(self, listed: Path) -> None:
        present = self._present(digests.count(listed))
        self._compared = compare(partial(size_on_disk, self._root), digests.from_file(listed), present)

    def _present(self, blobs: int) -> Iterator[Blob]:
        """The blobs of the snapshot, about so many; looks at its links as well where that spares a restic."""
        where = (self._repository, self._snapshot, str(self._root))
        if self._files < _MANY and not self._links_seen:
            return captured_tree(*where, self._links)
        return captured_at_once(*where, self._directory, self._restics(blobs))

    def _restics(self, blobs: int) -> int:
        """How many restics list about so many blobs: one a processor, of which many links take one."""
        if blobs < _MANY:
            return 1
        links_too = not self._links_seen and self._files - blobs > blobs // 4
        return max(1, min(4, (os.cpu_count() or 1) - links_too))

    def _keep(self, proved: ManifestProof) -> None:
        self._proved = proved
