"""What a registry's own links refer to, collected on disk: its list of digests where there is no database."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drkit.blobs import dangling, digests
from drkit.blobs.dangling import ImageSpool
from drkit.blobs.digests import Spool
from drkit.registry import links, storage

_BATCH = 50_000


class LinkSpool:
    """Takes links in any order; `directory` is the run's own."""

    def __init__(self, directory: Path) -> None:
        file = directory / "links.db"
        # An earlier attempt may have left one.
        file.unlink(missing_ok=True)
        self._digests = Spool(file)
        self.images = ImageSpool(directory / dangling.IMAGES)
        self._linked: list[str] = []
        self._revisions: list[tuple[str, str]] = []
        self._tags: list[tuple[str, str, str | None]] = []

    def notice(self, path: str, held: str | None = None) -> None:
        """A link, by its path, and what it holds where that is known."""
        digest = storage.digest_of_link(path)
        if digest:
            self._linked.append(digest)
        if "/_manifests/" in path:
            if revision := links.revision_in(path):
                self._revisions.append(revision)
            elif tag := links.tag_in(path):
                self._tags.append((*tag, held))
        if len(self._linked) + len(self._tags) >= _BATCH:
            self._flush()

    def write(self, listed: Path, manifests: Path) -> None:
        """Write the list of all digests that are linked, and that of the manifests among them."""
        self._flush()
        digests.write(manifests, self.images.manifests())
        digests.write(listed, self._digests)

    def write_required(self, listed: Path, absent: Iterable[str]) -> int:
        """Write the list of digests that must be there: without these; returns how many are left."""
        self.images.add_absent(absent)
        return digests.write(listed, digests.without(self._digests, self.images.absent()))

    def _flush(self) -> None:
        self._digests.add((digest, None) for digest in self._linked)
        self.images.add_images(self._revisions)
        self.images.add_tags(self._tags)
        self._linked.clear()
        self._revisions.clear()
        self._tags.clear()
