"""Checks on the restored tree itself: what every manifest needs is there, and every link can be followed.

They ask neither the database's tables nor the registry which blobs an image needs, and so find a missing
layer of which the tables know nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path

from drkit.blobs.dangling import Known
from drkit.checks.finding import Control, Finding, failed, not_provable, passed
from drkit.errors import ToolFailed
from drkit.harbor.tables import Image
from drkit.registry import image_manifests, links, storage
from drkit.registry.closure import Digest
from drkit.tools.registry import Descriptor
from drkit.tools.scratch import scratch_database
from drkit.tools.sorted_stream import SortedStream
from drkit.tools.tally import Tally

_NAMES = 3
NOTHING = Known()


class _Walk:
    """Goes from image to image; what has been seen, and what is needed, is kept on disk."""

    def __init__(self, root: Path, store: sqlite3.Connection, dangling: Known) -> None:
        self._root = root
        self._dangling = dangling
        self._top = f"{root}/{storage.REPOSITORIES}"
        self._store = store
        self.images = 0
        self.faults = Tally[str]()
        store.execute("CREATE TABLE seen (image TEXT PRIMARY KEY) WITHOUT ROWID")
        store.execute("CREATE TABLE need (digest TEXT PRIMARY KEY, image TEXT) WITHOUT ROWID")

    def walk(self, image: Image) -> None:
        """Look at an image, and at all images of an index."""
        left = [image.digest]
        while left:
            digest = left.pop()
            here = Image(image.repository, digest, image.proxy)
            if self._unserved(here, digest) or not self._first(f"{here.repository}@{digest}"):
                continue
            self.images += 1
            left += self._look(here)

    def unlisted(self, listed: Iterable[Digest]) -> None:
        """Faults for what manifests need and the sorted list has not."""
        known = SortedStream(listed, itemgetter(0))
        for digest, image in self._store.execute("SELECT digest, image FROM need ORDER BY digest"):
            if known.at(digest) is None:
                self.faults.add(f"{image} needs {digest}, which was not on the list of the backup")

    def finding(self) -> Finding:
        if self.faults:
            return failed(f"{self.faults.count:,} faults: " + "; ".join(self.faults.first[:_NAMES]))
        if not self.images:
            return not_provable("there is no manifest")
        said = f"{self.images:,} manifests, and all that they need is there"
        return passed(said + told(self._dangling))

    def _look(self, image: Image) -> list[str]:
        """The children of an image; faults for what it lacks."""
        name = f"{image.repository}@{image.digest}"
        if not image.proxy and not self._served(image):
            self.faults.add(f"{name}: the repository has no link to it")
        try:
            found = image_manifests.read(self._root, image.digest)
        except ToolFailed as error:
            # A proxy cache may know of an image that it has never fetched.
            if not image.proxy or storage.blob_path(self._root, image.digest).exists():
                self.faults.add(f"{name}: {error.message}")
            return []
        for blob in found.blobs:
            self._blob(image, name, blob)
        if not image.proxy:
            every = (*found.blobs, *(c for c in found.children if not self._unserved(image, c.digest)))
            needed = ((entry.digest, name) for entry in every if entry.digest.startswith("sha256:"))
            self._store.executemany("INSERT OR IGNORE INTO need VALUES (?, ?)", needed)
        return [child.digest for child in found.children]

    def _blob(self, image: Image, name: str, blob: Descriptor) -> None:
        stored = links.stored_digest(self._root, image.repository, blob.digest)
        try:
            size = os.stat(storage.blob_path(self._root, stored)).st_size  # noqa: PTH116
        except FileNotFoundError:
            if not image.proxy:
                self.faults.add(f"{name}: {blob.digest} is not there")
            return
        if blob.size not in (size, -1):
            self.faults.add(f"{name}: {blob.digest} has {size} bytes and should have {blob.size}")
        if not image.proxy and not self._has_layer(image.repository, blob.digest):
            self.faults.add(f"{name}: its repository has no link to {blob.digest}")

    def _has_layer(self, repository: str, digest: str) -> bool:
        algorithm, _, digits = digest.partition(":")
        return os.path.exists(f"{self._top}/{repository}/_layers/{algorithm}/{digits}/link")  # noqa: PTH110

    def _served(self, image: Image) -> bool:
        """Whether the repository has the manifest, by a link of either kind."""
        links_to_it = links.of_manifest(image.repository, image.digest)
        return any(os.path.exists(f"{self._root}/{path}") for path in links_to_it)  # noqa: PTH110

    def _unserved(self, image: Image, digest: str) -> bool:
        """Whether production did not serve that manifest at the backup either."""
        return self._dangling.image(image.repository, digest)

    def _first(self, image: str) -> bool:
        return self._store.execute("INSERT OR IGNORE INTO seen VALUES (?)", (image,)).rowcount == 1


def resolve(
    root: Path,
    images: Iterable[Image],
    scratch: Path,
    listed: Iterable[Digest] | None = None,
    dangling: Known = NOTHING,
) -> Finding:
    """From every manifest to its configuration, layers and children: each is there, at its size, and linked.

    With the sorted list of the backup, all that they need must be on it. `dangling` knows what production did
    not serve either. `scratch` is a new file.
    """
    store = scratch_database(scratch)
    try:
        walk = _Walk(root, store, dangling)
        for image in images:
            walk.walk(image)
        if listed is not None:
            walk.unlisted(listed)
        return walk.finding()
    finally:
        store.close()
        scratch.unlink(missing_ok=True)


def told(dangling: Known) -> str:
    """What is to be said of what production did not serve at the backup; empty where there was nothing."""
    if not dangling.count:
        return ""
    left = dangling.count - len(dangling.labels)
    more = f" and {left:,} more" if left else ""
    return f"; not served, as in production at the backup: {'; '.join(dangling.labels)}{more}"


def links_hold(
    root: Path, dangling: Known = NOTHING, has_image: Callable[[str, str], bool] | None = None
) -> Finding:
    """Every link is read: it holds a digest, that of its path; a tag's is one that its repository has.

    But for those tags of which `dangling` knows that they led nowhere in production either. Where a database
    has the tags, `has_image` says whether it knows a digest in a repository: Harbor asks the storage for no
    tag, and a garbage collection takes the manifest away a moment before the tag that leads to it.
    """
    tally, nowhere = links.LinkCount(), Tally[str]()

    def excused(tag: storage.Tag) -> bool:
        if dangling.tag(tag.repository, tag.name):
            return True
        if has_image is None or has_image(tag.repository, tag.digest):
            return False
        nowhere.add(f"{tag.repository}:{tag.name}")
        return True

    for path in links.paths(root):
        tally.read(root, path, excused)
    found = tally.proof()
    if found.bad:
        return failed(
            f"{found.bad:,} of {found.links:,} links are bad: {', '.join(found.bad_names[:_NAMES])}"
        )
    if not found.links:
        return not_provable("no repository has a link")
    said = f"{found.links:,} links hold the digest that they stand for{told(dangling)}"
    if nowhere:
        names = ", ".join(nowhere.first[:_NAMES])
        said += f"; tags of manifests that the database does not have: {nowhere.count:,} ({names})"
    return passed(said)


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


def _sample(root: Path) -> tuple[Image, image_manifests.Needs] | None:
    for image in images_in(root):
        try:
            needs = image_manifests.read(root, image.digest)
        except ToolFailed:
            continue
        plain = all(blob.digest.startswith("sha256:") for blob in needs.blobs)
        if needs.blobs and plain and not needs.children:
            return image, needs
    return None


def _without(root: Path, scratch: Path, image: Image, needs: image_manifests.Needs, missing: str) -> Finding:
    names = {image.digest, *(blob.digest for blob in needs.blobs)} - {missing}
    base = storage.REPOSITORIES / image.repository
    paths = [storage.blob_name(digest) for digest in names]
    paths += [base / "_layers/sha256" / blob.digest.partition(":")[2] / "link" for blob in needs.blobs]
    paths.append(base / "_manifests/revisions/sha256" / image.digest.partition(":")[2] / "link")
    for path in dict.fromkeys(paths):
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        if (root / path).exists():
            # Not by hard links: the root may be a mount.
            (scratch / path).symlink_to(root / path)
    return resolve(scratch, [image], scratch / "seen.db")
