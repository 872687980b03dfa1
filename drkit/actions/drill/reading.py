"""What a drill has read, for the ledger: each blob that came back, and whether its bytes hash to its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.actions.reread import recording
from drkit.blobs.ends import place_of_vault
from drkit.blobs.vault import reading as vault_reading
from drkit.errors import Failure
from drkit.model import DrillReport, PointManifest
from drkit.points.catalog import Catalog
from drkit.points.ledger.keeping import Book
from drkit.points.ledger.spool import Spool
from drkit.tools.parallel import Tasks


@dataclass(frozen=True)
class BlobsRead:
    """The blobs that one drill reads, and the ledger that they go into, which is opened meanwhile."""

    settings: config.Config
    spool: Spool
    book: Callable[[], Book]

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
            book = self.book()
        except Failure as error:
            return _noted(report, error.message)
        found, fault = recording.write(book, self.settings.objectives.reread, tidy=False)
        return _noted(report, fault) if fault else replace(report, reread=found)


def _noted(report: DrillReport, fault: str) -> DrillReport:
    note = f"what this drill has read is not in the ledger: {fault}"
    return replace(report, problems=(*report.problems, note))


def of_drill(
    tasks: Tasks[str],
    settings: config.Config,
    catalog: Catalog,
    manifest: PointManifest,
    directory: Path,
    drill: str,
    began: datetime,
) -> BlobsRead:
    """What the drill of that id is about to read of a point; `directory` is the drill's own.

    Blobs of a vault are looked for among those that a verify has listed: only it knows what all is there.
    """
    spool = Spool(directory / "read")

    def opened() -> Book:
        book = recording.open_ledger(catalog, "drill", directory / "ledger", drill, began)
        if manifest.bucket is None:
            book.round("blobs", catalog.name, spool=spool)
        else:
            vault = vault_reading.vault_for(settings, manifest.bucket)
            book.round("vault", place_of_vault(vault).where, grows=False, spool=spool)
        return book

    return BlobsRead(settings, spool, tasks.begin("ledger", opened))
