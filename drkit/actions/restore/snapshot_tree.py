"""A registry's tree out of a snapshot of its directory, next to its place; what is right already is kept."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drkit.blobs.directory import keeping
from drkit.blobs.directory.arrival import hash_arriving
from drkit.blobs.directory.keeping import Kept
from drkit.model import Part
from drkit.progress import Listener, Meter, Update
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.reports.units import size
from drkit.tools.parallel import side_by_side
from drkit.tools.restic.repository import Repository
from drkit.tools.tally import first_few

STAGE = "restore image blobs"


@dataclass(frozen=True)
class SnapshotTree:
    """The tree in the snapshot of a part."""

    repository: Repository
    part: Part
    meter: Meter
    listener: Listener

    def bring(self, target: Path, staging: Path, ledger: Ledger) -> str:
        """Have the tree of the snapshot in `staging`; says what of it need not be read from the repository.

        What stands in `target` is not changed. The ledger knows afterwards which blobs were hashed.
        """
        stood = PurePosixPath(self.part.path)
        restored, source = staging / stood.name, f"{self.part.snapshot}:{stood.parent}"
        if not keeping.is_worth_it(target, restored):
            arriving = self.repository.restored_files(source, staging, listener=self.listener, stage=STAGE)
            hash_arriving(arriving, restored, ledger)
            return ""
        # Here already, or the directory above it would get a new time after restic has set it.
        restored.mkdir(mode=0o700, exist_ok=True)
        storage.make_directory(restored, f"{storage.BLOBS}/sha256")
        blobs = f"/*/{storage.BLOBS}/*"
        with side_by_side() as tasks:
            kept = tasks.begin("blobs", lambda: self._blobs(target, restored, ledger))
            links = tasks.begin("links", lambda: self.repository.restore(source, staging, exclude=blobs))
        links()
        return _said(kept())

    def _blobs(self, target: Path, restored: Path, ledger: Ledger) -> Kept:
        """Those that are right by hard links, the others from the repository.

        restic must not look at what is shared: it would give it the time that the point says.
        """
        folder = f"{self.part.path}/{storage.BLOBS}"
        with closing(self.repository.owned_files(self.part.snapshot, folder)) as wanted:
            kept = keeping.keep(wanted, target, restored, ledger, self.meter)
        if kept.listed:
            source = f"{self.part.snapshot}:{folder}"
            rest = self._after(kept.bytes)
            self.repository.restore(source, restored / storage.BLOBS, keep=True, listener=rest)
        return kept

    def _after(self, kept: int) -> Listener:
        """What restic tells of the rest, as progress of all of it."""

        def tell(update: Update) -> None:
            if not update.finished:
                done = min(kept + update.done, self.part.bytes)
                self.listener(Update(STAGE, done, self.part.bytes, "bytes"))

        return tell


def _said(kept: Kept) -> str:
    wrong = ""
    if kept.wrong:
        some = first_few(kept.wrong.first)
        wrong = f"{kept.wrong.count:,} were there and are damaged, and were restored: {some}; "
    return f"{kept.blobs:,} of them ({size(kept.bytes)}) were there already; {wrong}"
