"""Bringing OCI layouts back: beside their place, proved there, and put in place by one renaming."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from drkit.blobs import dangling
from drkit.blobs.directory.cleaning import LAYOUTS, clean
from drkit.blobs.layouts import on_disk
from drkit.checks import layouts as checks
from drkit.model import Outcome
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, Meter
from drkit.registry import image_list, layouts
from drkit.registry.ledger import Ledger
from drkit.reports.units import counted
from drkit.stopwatch import Stopwatch
from drkit.tools.restic.repository import Repository
from drkit.tools.tally import Tally

STAGE = "restore image blobs"


@dataclass(frozen=True)
class Proved:
    """What was seen of layouts that came back; `lacking` says what did not, or not as it should."""

    verified: str
    lacking: tuple[str, ...]


@dataclass(frozen=True)
class LayoutsRestore:
    """Brings the layouts of a point into a directory of drkit's own; `directory` is private to this run."""

    repository: Repository
    files: SealFiles
    directory: Path
    stopwatch: Stopwatch
    listener: Listener

    def bring(self, staging: Path) -> tuple[Path, Proved]:
        """Restore below `staging` and prove what is there; returns the root directory, and what was seen."""
        part = self.files.manifest.need("blobs", "blobs")
        where = PurePosixPath(part.path)
        source = f"{part.snapshot}:{where.parent}"
        self.repository.restore(source, staging, listener=self.listener, stage=STAGE)
        with self.stopwatch.stage("verify image blobs"):
            return staging / where.name, self._prove(staging / where.name, part.bytes)

    def _prove(self, root: Path, size: int) -> Proved:
        cleaned, known, wrong = clean(root, grammar=LAYOUTS), dangling.Known(), _Wrong(root)
        if self.files.manifest.part("dangling"):
            known = dangling.Known(dangling.from_lines(self.files.lines("dangling", "dangling")))
        with closing(Ledger(self.directory / "ledger.db")) as ledger:
            meter = Meter(self.listener, "verify image blobs", size)
            hashed = checks.blobs_hash(root, ledger, wrong.add, meter)
        wrong.remove()
        with on_disk.examined(root, self.directory / "layouts.db") as spool:
            listed = image_list.from_lines(self.files.lines("tags", "tags"))
            findings = (
                checks.closure_holds(spool, known),
                checks.manifests_resolve(spool, known),
                checks.images_agree(spool, listed),
            )
        said = "; ".join(each.detail for each in (hashed, *findings) if each.outcome is Outcome.PASSED)
        faults = (each.detail for each in findings if each.outcome is Outcome.FAILED)
        return Proved(said, (*cleaned.sentences, *wrong.sentences, *faults))


@dataclass
class _Wrong:
    """Blobs with wrong bytes: a registry would serve them under their right name."""

    root: Path
    names: Tally[str] = field(default_factory=Tally)
    _files: set[tuple[int, int]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, repository: str, digest: str) -> None:
        status = (self.root / layouts.blob_name(repository, digest)).stat()
        with self._lock:
            self._files.add((status.st_dev, status.st_ino))
        self.names.add(f"{repository}@{digest}")

    def remove(self) -> None:
        """Under each of their names: several repositories may share the file."""
        if not self._files:
            return
        for repository, digest, _size in list(checks.every_blob(self.root)):
            path = self.root / layouts.blob_name(repository, digest)
            status = path.stat()
            if (status.st_dev, status.st_ino) in self._files:
                path.unlink()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What there is to say."""
        if not self.names:
            return ()
        found = counted(
            self.names.count, "blob does not hash to its name", "blobs do not hash to their names"
        )
        return (f"{found}: {self.names}",)
