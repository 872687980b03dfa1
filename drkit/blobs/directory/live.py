"""A registry's directory while it runs; see LiveTree."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.blobs.inventory import Entry
from drkit.blobs.live import LinkSeen, Stored
from drkit.blobs.survey import OnDisk
from drkit.blobs.units.sources import DirectorySource
from drkit.errors import ToolFailed
from drkit.registry import image_manifests, link_tree, links, storage
from drkit.registry.image_manifests import Needs
from drkit.registry.link_tree import LinkFile
from drkit.tools.process import stopping

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveDirectory:
    """The registry's root directory."""

    root: Path

    @property
    def where(self) -> str:
        """See LiveTree."""
        return str(self.root)

    @property
    def readers(self) -> int:
        """See LiveTree: production needs the disk as well."""
        return min(2, os.cpu_count() or 1)

    @property
    def production(self) -> OnDisk:
        """See LiveTree."""
        return OnDisk(self.root)

    def blobs(self) -> Iterator[Stored]:
        """See LiveTree."""
        try:
            for digest, status in storage.stored_files(self.root):
                yield Stored(digest, status.st_size, status.st_mtime)
        except OSError as error:
            raise _cannot_read(error) from None

    def links(self) -> Iterator[LinkSeen]:
        """See LiveTree: of those that a path tells enough of, the length alone is looked at."""
        try:
            for file in link_tree.walk(self.root):
                if file.digest.startswith("sha256:"):
                    yield LinkSeen(file, file.digest, _is_sound(file))
                else:
                    held = self._held(file.path)
                    yield LinkSeen(file, held, storage.is_digest(held))
        except OSError as error:
            raise _cannot_read(error) from None

    def is_damaged(self, path: str) -> bool:
        """See LiveTree."""
        return links.is_damaged(self.root, path)

    def needs(self, digest: str) -> Needs:
        """See LiveTree."""
        return image_manifests.read(self.root, digest)

    def entry(self, digest: str, size: int) -> Entry:
        """See LiveTree."""
        return Entry(digest, "", size)

    def source(self, cluster: config.Cluster) -> DirectorySource:
        """See LiveTree."""
        return DirectorySource(self.root, cluster.blobs_path)

    def hashes_right(self, digest: str) -> bool | None:
        """See LiveTree."""
        wrong = DirectorySource(self.root).look(
            Entry(digest, "", -1), stopping.stop_if_asked, lambda _count: None
        )
        if wrong and wrong.kind == "unreadable":
            log.warning("what cannot be read is damaged: %s", wrong.said)
        return None if wrong and wrong.kind == "gone" else wrong is None

    def _held(self, path: str) -> str:
        with (self.root / path).open("rb") as file:
            return file.read(link_tree.LENGTH + 1).decode("utf-8", "replace")


def _is_sound(file: LinkFile) -> bool:
    return file.size == link_tree.LENGTH and storage.is_digest(file.digest)


def _cannot_read(error: OSError) -> ToolFailed:
    return ToolFailed(
        f"cannot read {error.filename}: {error.strerror}",
        hint="an audit needs the right to read the registry's whole directory",
    )
