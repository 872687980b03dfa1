"""What a backup knows before it captures anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from drkit import config
from drkit.blobs.vault.work import VaultWork
from drkit.model import Closure, DatabaseEvidence, Loss, PartKind, PointManifest
from drkit.points import collapse
from drkit.points.catalog import Catalog, part_tags
from drkit.points.listing import Listing
from drkit.progress import Listener
from drkit.state.directory import State
from drkit.tools.restic.repository import Repository


@dataclass(frozen=True)
class Context:
    """The same for every attempt at a point."""

    settings: config.Config
    catalog: Catalog
    versions: Mapping[str, str]
    listener: Listener
    vault: VaultWork
    listing: Listing
    warnings: tuple[str, ...] = ()
    signing_key: str = ""

    @property
    def previous(self) -> PointManifest | None:
        """The newest sealed point."""
        return next((point.manifest for point in self.listing.points if point.manifest), None)

    @property
    def repository(self) -> Repository:
        """Where parts and seals are stored."""
        return self.catalog.repository

    @property
    def state(self) -> State:
        """The site's state directory."""
        return self.catalog.state

    @property
    def host(self) -> str:
        """What restic takes for the host: all snapshots of a site belong together."""
        return self.settings.site.name

    def tags(self, point: str, kind: PartKind, name: str) -> tuple[str, ...]:
        """The tags of a part's own snapshot."""
        return part_tags(self.catalog, point, kind, name)

    def losses(
        self, evidence: list[DatabaseEvidence], closure: Closure | None, now: datetime
    ) -> tuple[Loss, ...]:
        """What production has lost most of since the points before."""
        before = collapse.earlier(self.listing.points, self.listing.confirmed, now)
        return collapse.losses(before, collapse.counts(evidence, closure))
