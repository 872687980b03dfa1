"""Checks on the restored tree itself: what every manifest needs is there, and every link can be followed.

They ask neither the database's tables nor the registry which blobs an image needs, and so find a missing
layer of which the tables know nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from drkit.checks.finding import Control, Finding, failed, not_provable, passed
from drkit.errors import ToolFailed
from drkit.harbor import links, manifests, storage
from drkit.harbor.closure import Digest
from drkit.harbor.tables import Image
from drkit.tools.registry import Descriptor

_NAMES = 3


class _Walk:
    """Goes from image to image; what has been seen, and what is needed, is kept on disk."""

    def __init__(self, root: Path, store: sqlite3.Connection) -> None:
        self._root = root
        self._top = f"{root}/{storage.REPOSITORIES}"
        self._store = store
        self.images = 0
        self.count = 0
        self.faults: list[str] = []
        store.execute("PRAGMA journal_mode = OFF")
        store.execute("PRAGMA synchronous = OFF")
        store.execute("CREATE TABLE seen (image TEXT PRIMARY KEY) WITHOUT ROWID")
        store.execute("CREATE TABLE need (digest TEXT PRIMARY KEY, image TEXT) WITHOUT ROWID")

    def walk(self, image: Image) -> None:
        """Look at an image, and at all images of an index."""
        left = [image.digest]
        while left:
            digest = left.pop()
            here = Image(image.repository, digest, image.proxy)
            if not self._first(f"{here.repository}@{digest}"):
                continue
            self.images += 1
            left += self._look(here)

    def unlisted(self, listed: Iterable[Digest]) -> None:
        """Faults for what manifests need and the sorted list has not."""
        known = iter(listed)
        here = next(known, None)
        for digest, image in self._store.execute("SELECT digest, image FROM need ORDER BY digest"):
            while here is not None and here[0] < digest:
                here = next(known, None)
            if here is None or here[0] != digest:
                self._fault(f"{image} needs {digest}, which was not on the list of the backup")

    def finding(self) -> Finding:
        if self.count:
            return failed(f"{self.count:,} faults: " + "; ".join(self.faults))
        if not self.images:
            return not_provable("there is no manifest")
        return passed(f"{self.images:,} manifests, and all that they need is there")

    def _look(self, image: Image) -> list[str]:
        """The children of an image; faults for what it lacks."""
        name = f"{image.repository}@{image.digest}"
        if not image.proxy and not self._linked(image.repository, "_manifests/revisions", image.digest):
            self._fault(f"{name}: the repository has no link to it")
        try:
            found = manifests.read(self._root, image.digest)
        except ToolFailed as error:
            # A proxy cache may know of an image that it has never fetched.
            if not image.proxy or storage.blob_path(self._root, image.digest).exists():
                self._fault(f"{name}: {error.message}")
            return []
        for blob in found.blobs:
            self._blob(image, name, blob)
        if not image.proxy:
            needed = ((entry.digest, name) for entry in found.every)
            self._store.executemany("INSERT OR IGNORE INTO need VALUES (?, ?)", needed)
        return [child.digest for child in found.children]

    def _blob(self, image: Image, name: str, blob: Descriptor) -> None:
        try:
            size = os.stat(storage.blob_path(self._root, blob.digest)).st_size  # noqa: PTH116
        except FileNotFoundError:
            if not image.proxy:
                self._fault(f"{name}: {blob.digest} is not there")
            return
        if blob.size not in (size, -1):
            self._fault(f"{name}: {blob.digest} has {size} bytes and should have {blob.size}")
        if not image.proxy and not self._linked(image.repository, "_layers", blob.digest):
            self._fault(f"{name}: its repository has no link to {blob.digest}")

    def _linked(self, repository: str, kind: str, digest: str) -> bool:
        algorithm, _, digits = digest.partition(":")
        return os.path.exists(f"{self._top}/{repository}/{kind}/{algorithm}/{digits}/link")  # noqa: PTH110

    def _first(self, image: str) -> bool:
        return self._store.execute("INSERT OR IGNORE INTO seen VALUES (?)", (image,)).rowcount == 1

    def _fault(self, sentence: str) -> None:
        self.count += 1
        if len(self.faults) < _NAMES:
            self.faults.append(sentence)


def resolve(
    root: Path, images: Iterable[Image], scratch: Path, listed: Iterable[Digest] | None = None
) -> Finding:
    """From every manifest to its configuration, layers and children: each is there, at its size, and linked.

    With the sorted list of the backup, all that they need must be on it. `scratch` is a new file.
    """
    store = sqlite3.connect(scratch)
    try:
        walk = _Walk(root, store)
        for image in images:
            walk.walk(image)
        if listed is not None:
            walk.unlisted(listed)
        return walk.finding()
    finally:
        store.close()
        scratch.unlink(missing_ok=True)


def links_hold(root: Path) -> Finding:
    """Every link is read: it holds a digest, that of its path; a tag's is one that its repository has."""
    tally = links.Tally()
    for path in links.paths(root):
        tally.read(root, path)
    found = tally.proof()
    if found.bad:
        return failed(
            f"{found.bad:,} of {found.links:,} links are bad: {', '.join(found.bad_names[:_NAMES])}"
        )
    if not found.links:
        return not_provable("no repository has a link")
    return passed(f"{found.links:,} links hold the digest that they stand for")


def images_in(root: Path) -> Iterator[Image]:
    """Every image that the tree itself has, for a registry without a database."""
    for repository, digest in links.revisions(root):
        yield Image(repository, digest)


def controls(root: Path, scratch: Path) -> Iterator[Control]:
    """A whole image but for one layer, made of names of the restored files."""
    found = _sample(root)
    if found:
        image, needs = found
        missing = needs.blobs[-1].digest
        planted = f"{missing[:19]} of {image.repository} removed"
        yield Control("missing layer", planted, lambda: _without(root, scratch, image, needs, missing))


def _sample(root: Path) -> tuple[Image, manifests.Needs] | None:
    for image in images_in(root):
        try:
            needs = manifests.read(root, image.digest)
        except ToolFailed:
            continue
        if needs.blobs and not needs.children:
            return image, needs
    return None


def _without(root: Path, scratch: Path, image: Image, needs: manifests.Needs, missing: str) -> Finding:
    names = {image.digest, *(blob.digest for blob in needs.blobs)} - {missing}
    base = storage.REPOSITORIES / image.repository
    paths = [storage.blob_name(digest) for digest in names]
    paths += [base / "_layers/sha256" / blob.digest.partition(":")[2] / "link" for blob in needs.blobs]
    paths.append(base / "_manifests/revisions/sha256" / image.digest.partition(":")[2] / "link")
    for path in dict.fromkeys(paths):
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        if (root / path).exists():
            os.link(root / path, scratch / path)
    return resolve(scratch, [image], scratch / "seen.db")
