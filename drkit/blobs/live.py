"""A registry's storage while it runs, in a directory or a bucket: what an audit reads of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from drkit import config
from drkit.blobs.dangling import Production
from drkit.blobs.inventory import Entry
from drkit.blobs.units.sources import Source
from drkit.registry.image_manifests import Needs
from drkit.registry.link_tree import LinkFile


class Stored(NamedTuple):
    """A blob that is there; `modified` in seconds since 1970."""

    digest: str
    size: int
    modified: float


class LinkSeen(NamedTuple):
    """A link, what it holds as far as that was read or follows from its name, and whether it is one.

    What one that is `sound` holds is a digest by SHA-256.
    """

    file: LinkFile
    held: str
    sound: bool


class LiveTree(Protocol):
    """The storage as it is now; nothing here changes it. Every method may raise ToolFailed."""

    @property
    def where(self) -> str:
        """What it is called."""

    @property
    def readers(self) -> int:
        """How many may read from it at once without being in the registry's way."""

    @property
    def production(self) -> Production:
        """What single questions are asked of."""

    def blobs(self) -> Iterator[Stored]:
        """Every blob, sorted by digest, as a stream."""

    def links(self) -> Iterator[LinkSeen]:
        """Every link, in no order, as a stream."""

    def is_damaged(self, path: str) -> bool:
        """Whether a link that was seen to be none still is none."""

    def needs(self, digest: str) -> Needs:
        """What a manifest needs; its bytes are hashed first."""

    def entry(self, digest: str, size: int) -> Entry:
        """A blob as `source` reads it."""

    def source(self, cluster: config.Cluster) -> Source:
        """Where many blobs are read at once, by this machine or by the workers of a cluster."""

    def hashes_right(self, digest: str) -> bool | None:
        """Whether the bytes of a blob hash to its name; None where it is not there."""
