"""Checks on restored images: every byte hashes to its name, nothing is missing, every tag can be pulled."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from drkit.blobs.dangling import Known
from drkit.checks.finding import Control, Finding, Unplanted, failed, not_provable, passed
from drkit.checks.manifests import NOTHING, links_hold, told
from drkit.errors import NotServed, ToolFailed
from drkit.model import Closure
from drkit.progress import Meter
from drkit.registry import closure, links, storage
from drkit.registry.ledger import Ledger
from drkit.registry.storage import Tag
from drkit.tools.parallel import for_each
from drkit.tools.registry import PATIENCE_SECONDS, Address, Client, Descriptor
from drkit.tools.tally import Tally

_WORKERS = min(4, os.cpu_count() or 1)
# Of two that pull, one waits for the registry.
_PULLERS = 2 * _WORKERS
# So many tags are read whole through the registry, whatever is known of their blobs.
_WHOLE = 10
# Blobs up to this size are copied to plant a fault in.
_SMALL = 4 << 20


class _Tally:
    """Counts and the first few faults, from several threads."""

    def __init__(self) -> None:
        self.begun = 0
        self.done = 0
        self.bytes = 0
        self.faults = Tally[str]()
        self._lock = threading.Lock()

    def begin(self) -> int:
        """How many were begun before."""
        with self._lock:
            self.begun += 1
            return self.begun - 1

    def add(self) -> None:
        with self._lock:
            self.done += 1

    def read(self, size: int) -> None:
        with self._lock:
            self.bytes += size

    def fault(self, sentence: str) -> None:
        self.faults.add(sentence)

    def verdict(self, good: str, nothing: str) -> Finding:
        if self.faults:
            return failed(f"{self.faults.count} faults: " + "; ".join(self.faults.first[:3]))
        return passed(good) if self.done else not_provable(nothing)


def tags_pull(
    address: Address,
    tags: Iterable[Tag],
    ledger: Ledger,
    dangling: Known = NOTHING,
    patience: float = PATIENCE_SECONDS,
) -> Finding:
    """Pull every tag by digest from the running registry, as a client with an empty cache would.

    Each manifest is read whole and hashed. Configurations and layers are so as well, once, if the ledger does
    not know them to be right on disk already, and of the first few tags in any case; for all others each
    repository is asked once whether it serves them, at their size. `dangling` knows what production did not
    serve either, `patience` is in seconds.
    """
    tally = _Tally()
    there = (tag for tag in tags if not dangling.tag(tag.repository, tag.name))
    with Client(address, patience) as client:
        for_each(there, _Puller(client, ledger, tally, dangling).pull, _PULLERS)
    whole = f"{min(tally.done, _WHOLE):,} of them whole" if tally.done > _WHOLE else "whole"
    size = f"{tally.bytes / (1 << 20):,.1f} MiB"
    said = f"{tally.done:,} tags pulled by digest, {whole}, {size} read through the registry{told(dangling)}"
    return tally.verdict(said, "there is no tag to pull")


@dataclass(frozen=True)
class _Puller:
    client: Client
    ledger: Ledger
    tally: _Tally
    dangling: Known

    def pull(self, tag: Tag) -> None:
        try:
            self._image(tag, tag.digest, whole=self.tally.begin() < _WHOLE)
            self.tally.add()
        except ToolFailed as error:
            self.tally.fault(f"{tag.repository}:{tag.name}: {error.message}")

    def _image(self, tag: Tag, digest: str, *, whole: bool) -> None:
        if not self.ledger.claim(f"{tag.repository}@{digest}"):
            return
        manifest = self.client.manifest(tag.repository, digest)
        self.ledger.confirm(digest)
        for child in manifest.children:
            if self.dangling.image(tag.repository, child.digest):
                continue
            with self._unfetched(tag):
                self._image(tag, child.digest, whole=whole)
        for blob in manifest.blobs:
            if not blob.foreign:
                with self._unfetched(tag):
                    self._blob(tag.repository, blob, whole=whole)

    @staticmethod
    def _unfetched(tag: Tag) -> AbstractContextManager[None]:
        """A proxy cache may lack what nobody has asked it for yet; anywhere else that is a fault."""
        return suppress(NotServed) if tag.proxy else nullcontext()

    def _blob(self, repository: str, blob: Descriptor, *, whole: bool) -> None:
        if not self.ledger.claim(f"{repository}@{blob.digest}"):
            return
        if self.ledger.claim(blob.digest) or whole:
            self.client.pull_blob(repository, blob)
            self.ledger.confirm(blob.digest)
            self.tally.read(blob.size)
        else:
            self.client.has_blob(repository, blob)


def blobs_hash(
    root: Path,
    ledger: Ledger,
    wrong: Callable[[str], object] | None = None,
    meter: Meter | None = None,
    judged: Callable[[str, int, bool], object] | None = None,
) -> Finding:
    """Every stored blob's bytes hash to its name; those that were pulled whole already are not read again.

    `wrong` is told of each digest whose bytes are others, and `judged` of each digest with its size and
    whether its bytes are right; by several threads.
    """
    tally = _Tally()

    def look(blob: tuple[str, int]) -> None:
        digest, size = blob
        right = True
        if not ledger.good(digest):
            found = hash_file(storage.blob_path(root, digest))
            right = found == digest
            if not right:
                tally.fault(f"the bytes of {digest} hash to {found}")
                if wrong:
                    wrong(digest)
        tally.add()
        tally.read(size)
        if judged:
            judged(digest, size, right)
        if meter:
            meter.add(size)

    for_each(storage.stored_blobs(root), look, _WORKERS)
    said = f"{tally.done:,} blobs, {tally.bytes / (1 << 20):,.1f} MiB, every byte hashed"
    return tally.verdict(said, "there is no blob")


def hash_file(path: Path) -> str:
    """The digest of a file's bytes; raises ToolFailed where it cannot be read."""
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ToolFailed(f"cannot read {path}: {error.strerror}") from None


def closure_holds(
    root: Path, referenced: Iterable[tuple[str, int | None]], dangling: Known = NOTHING
) -> Finding:
    """Every digest that the restored database refers to is among the restored blobs, at its size.

    But for layers of which `dangling` knows that production did not store them either.
    """
    return closure_of(referenced, storage.stored_blobs(root), dangling)


def closure_of(
    referenced: Iterable[tuple[str, int | None]],
    present: Iterable[tuple[str, int]],
    dangling: Known = NOTHING,
) -> Finding:
    """The same of any blobs, sorted by digest: of a bucket's listing, say."""
    found: Closure = closure.closure(referenced, present, excused=dangling.layer)
    more = f", {found.unreferenced:,} unreferenced" if found.unreferenced else ""
    if not found.referenced:
        return not_provable(f"no blob is referred to{more}")
    if found.whole:
        return passed(f"all {found.referenced:,} blobs that are referred to are there{more}")
    names = ", ".join((found.missing_names + found.mismatch_names)[:3])
    return failed(f"{found.missing:,} blobs missing, {found.size_mismatch:,} of the wrong size: {names}")


def controls(
    root: Path, blobs: Path, scratch: Path, dangling: Known = NOTHING
) -> Iterator[Control | Unplanted]:
    """A flipped byte, a cut blob and a missing one, each in a copy of one restored blob; an emptied link.

    And where the tree has tags, one that lost its manifest, which `dangling` must not excuse. The blob is one
    of those below `blobs`, which may be another root directory.
    """
    yield from _blob_controls(blobs, scratch)
    link = next(links.paths(root), None)
    if link is None:
        yield Unplanted("emptied link", "no repository has a link")
    else:
        short = re.sub(
            r"([0-9a-f]{12})[0-9a-f]{52}/link$", r"\1", link.removeprefix(f"{storage.REPOSITORIES}/")
        )
        yield Control("emptied link", f"that of {short}", lambda: _emptied(scratch / "link", link))
    yield from _tag_control(root, scratch / "tag", dangling)


def _tag_control(root: Path, scratch: Path, dangling: Known) -> Iterator[Control]:
    served = (tag for tag in storage.tags(root) if not dangling.tag(tag.repository, tag.name))
    tag = next(served, None)
    if tag is not None:
        planted = f"{tag.repository}:{tag.name} without its manifest"
        yield Control("lost manifest", planted, lambda: _alone(scratch, tag, dangling))


def _alone(root: Path, tag: Tag, dangling: Known) -> Finding:
    """A tree with a tag in it, and nothing that it leads to."""
    path = root / links.of_tag(tag.repository, tag.name)
    path.parent.mkdir(parents=True)
    path.write_text(tag.digest, encoding="utf-8")
    return links_hold(root, dangling)


def _blob_controls(root: Path, scratch: Path) -> Iterator[Control | Unplanted]:
    sample = next(
        ((d, size) for d, size in storage.stored_blobs(root) if 0 < size <= _SMALL),
        None,
    )
    if sample is None:
        reason = f"no blob of at most {_SMALL >> 20} MiB was restored"
        yield from (Unplanted(name, reason) for name in ("flipped byte", "truncated blob", "missing blob"))
        return
    digest, size = sample

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def cut(path: Path) -> None:
        os.truncate(path, size // 2)

    short = digest[:19]
    yield Control(
        "flipped byte", f"one bit of {short}", lambda: _spoilt(root, scratch / "flip", digest, flip)
    )
    yield Control("truncated blob", f"half of {short}", lambda: _spoilt(root, scratch / "cut", digest, cut))
    yield Control("missing blob", f"{short} removed", lambda: _absent(root, scratch / "miss", sample))


def _emptied(root: Path, link: str) -> Finding:
    """A tree with one link in it, and nothing in that."""
    (root / link).parent.mkdir(parents=True)
    (root / link).touch()
    return links_hold(root)


def _spoilt(root: Path, copy: Path, digest: str, spoil: Callable[[Path], None]) -> Finding:
    path = _copy_one(root, copy, digest)
    spoil(path)
    ledger = Ledger(copy / "ledger.db")
    try:
        return blobs_hash(copy, ledger)
    finally:
        ledger.close()


def _absent(root: Path, copy: Path, sample: tuple[str, int]) -> Finding:
    _copy_one(root, copy, sample[0]).unlink()
    return closure_holds(copy, [sample])


def _copy_one(root: Path, copy: Path, digest: str) -> Path:
    path = storage.blob_path(copy, digest)
    path.parent.mkdir(parents=True)
    shutil.copyfile(storage.blob_path(root, digest), path)
    return path
