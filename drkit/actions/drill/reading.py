"""What a drill has read, for the ledger: each blob that came back, and whether its bytes hash to its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions.reread import recording
from drkit.blobs.ends import place_of_vault
from drkit.blobs.vault import reading as vault_reading
from drkit.errors import Failure, failure_of
from drkit.model import DrillReport, PointManifest
from drkit.points.catalog import Catalog
from drkit.points.ledger.keeping import Book
from drkit.points.ledger.spool import Spool


@dataclass(frozen=True)
class BlobsRead:
    """The blobs that one drill of a point reads; `directory` is the drill's own."""

    settings: config.Config
    catalog: Catalog
    manifest: PointManifest
    directory: Path
    spool: Spool

    def judged(self, digest: str, size: int, right: bool) -> None:
        """A blob was read; by several threads."""
        (self.spool.right if right else self.spool.wrong)(digest, size)

    def recorded(self, report: DrillReport) -> DrillReport:
        """Write it down; the report with how long ago everything was read.

        A drill host may read the repository and not write it: the drill is no less true, and says so.
        """
        if not self.spool.items:
            return report
        try:
            book = self._book(report)
        except (Failure, OSError) as error:
            return _noted(report, failure_of(error).message)
        found, fault = recording.write(book, self.settings.objectives.reread)
        return _noted(report, fault) if fault else replace(report, reread=found)

    def _book(self, report: DrillReport) -> Book:
        """Opened last, for the time that it takes is none of a recovery.

        Blobs of a vault are looked for among those that a verify has listed: only it knows what all is there.
        """
        began = report.started_at
        book = recording.open_ledger(self.catalog, "drill", self.directory / "ledger", report.id, began)
        if self.manifest.bucket is None:
            book.round("blobs", self.catalog.name, spool=self.spool)
        else:
            vault = vault_reading.vault_for(self.settings, self.manifest.bucket)
            book.round("vault", place_of_vault(vault).where, grows=False, spool=self.spool)
        return book


def _noted(report: DrillReport, fault: str) -> DrillReport:
    note = f"what this drill has read is not in the ledger: {fault}"
    return replace(report, problems=(*report.problems, note))


def of_drill(
    settings: config.Config, catalog: Catalog, manifest: PointManifest, directory: Path
) -> BlobsRead:
    """What a drill of a point is about to read."""
    return BlobsRead(settings, catalog, manifest, directory, Spool(directory / "read"))
