"""Proving that a capture of the blobs is whole: what is in the snapshot against what must be in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from drkit.errors import DrkitError, SourceChanged, ToolFailed
from drkit.harbor import closure, links, manifests, storage
from drkit.harbor.closure import Blob, Digest
from drkit.model import Closure, ManifestProof
from drkit.sources import digests
from drkit.sources.link_spool import LinkSpool
from drkit.sources.manifests import Memory
from drkit.tools.parallel import together
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved

# The manifests of the images, beside the list of all digests.
ARTIFACTS = "artifacts.jsonl"
# Told of a blob in production whose bytes are not what its name says.
DAMAGED = -1
# From so many files on, starting more restics takes less time than they save.
_MANY = 200_000


@dataclass(frozen=True)
class Damage:
    """What is wrong with a closure: in production too (its own damage), or in the capture alone (ours).

    `gone` names up to twenty digests that production has no bytes of: perhaps collected a moment ago.
    """

    in_production: int
    in_capture: int
    lost: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def captured_blobs(
    repository: Repository, snapshot: str, root: str, share: tuple[int, int] = (0, 256)
) -> Iterator[Blob]:
    """Digest and size of every blob in a snapshot, sorted by digest, as a stream.

    `share` takes only those whose first byte is in that range.
    """
    top = f"{root}/{storage.BLOBS}"
    parts = [f"{top}/sha256/{first:02x}" for first in range(*share)] if share != (0, 256) else [top]
    for node in repository.files(snapshot, *parts):
        digest = storage.digest_of_blob(node.path)
        if digest and node.size is not None:
            yield digest, node.size


def captured_at_once(
    repository: Repository, snapshot: str, root: str, directory: Path, count: int
) -> Iterator[Blob]:
    """The same by `count` restics side by side, for a restic lists a million blobs with one processor.

    All but the first share are kept in files until it is their turn.
    """
    edges = [256 * number // count for number in range(count + 1)]
    shares = list(pairwise(edges))
    with ThreadPoolExecutor(count) as pool:
        later = []
        for share in shares[1:]:
            kept = directory / f"blobs-{share[0]:02x}.jsonl"
            blobs = captured_blobs(repository, snapshot, root, share)
            later.append((kept, pool.submit(digests.write, kept, blobs)))
        yield from captured_blobs(repository, snapshot, root, shares[0])
        for kept, listing in later:
            listing.result()
            for digest, size in digests.from_file(kept):
                assert size is not None
                yield digest, size
            kept.unlink()


def captured_links(
    repository: Repository, snapshot: str, root: str, tally: links.Tally
) -> Iterator[tuple[str, bool]]:
    """Every digest that a layer or revision link of a snapshot is for, and whether it is a revision.

    The tally is told of every link. restic lists the length of a file, not what is in it: that shows empty
    and cut links; the drill reads them. Raises SourceChanged for one that is whole on disk: it was caught
    while the registry wrote it.
    """
    for node in repository.files(snapshot, f"{root}/{storage.REPOSITORIES}"):
        if not node.path.endswith("/link"):
            continue
        path = node.path.removeprefix(f"{root}/")
        if not tally.look(path, node.size) and links.is_whole(Path(root), path):
            raise SourceChanged(
                f"a link was being written while it was read: {path}",
                hint="run the backup again, when less is pushed",
            )
        digest = storage.digest_of_link(node.path)
        if digest:
            yield digest, "/_manifests/revisions/" in node.path


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
        return tuple(filter(None, (self._blobs(), self._links(), *self._manifests())))

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
                hint="is it the right place, and mounted?",
            )

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


class Prover:
    """Proves what was saved of a registry's root directory; `directory` is the run's own."""

    def __init__(
        self,
        repository: Repository,
        root: Path,
        saved: Saved,
        directory: Path,
        memory: Path,
    ) -> None:
        self._repository = repository
        self._root = root
        self._snapshot = saved.snapshot
        self._files = saved.files
        self._directory = directory
        self._memory = memory
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

    def prove(self, listed: Path) -> Proof:
        """Compare the snapshot with the list, and the list with what the manifests need."""
        started = time.monotonic()
        work: dict[str, Callable[[], object]] = {
            "blobs": lambda: self._compare(listed),
            "manifests": lambda: self._prove_manifests(listed),
        }
        if not self._links_seen:
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
        where = (self._repository, self._snapshot, str(self._root))
        count = min(4, os.cpu_count() or 1) if self._files > _MANY else 1
        present = captured_at_once(*where, self._directory, count) if count > 1 else captured_blobs(*where)
        self._compared = compare(partial(size_on_disk, self._root), digests.from_file(listed), present)

    def _prove_manifests(self, listed: Path) -> None:
        with Memory(self._memory) as memory:
            roots = digests.from_file(self._directory / ARTIFACTS)
            self._proved = memory.prove(partial(manifests.read, self._root), roots, digests.from_file(listed))
