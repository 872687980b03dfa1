"""The image blobs of an attempt, from a directory or a bucket: stored, and proved to be whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

from drkit import config
from drkit.actions.backup.context import Context
from drkit.actions.backup.draft import Draft
from drkit.blobs import dangling, digests
from drkit.blobs import ends as bucket_ends
from drkit.blobs.bucket.point import BucketPoint, Surroundings
from drkit.blobs.closure import Proof, Prover
from drkit.blobs.directory import capture
from drkit.blobs.survey import OnDisk, Survey, Surveyor
from drkit.blobs.units import executors
from drkit.blobs.vault import damage
from drkit.blobs.vault.object_lock import locking_of
from drkit.blobs.vault.pending_copies import PendingCopies
from drkit.blobs.vault.reading import WORKERS
from drkit.errors import SourceChanged
from drkit.model import PartKind, Volume
from drkit.progress import Update
from drkit.registry import image_manifests
from drkit.tools.restic.output import Saved
from drkit.volumes import freeze


@dataclass(frozen=True)
class Wanted:
    """What must be among the blobs: `listed` waits for the list of digests, `surveyed` for the manifests.

    Without a Harbor's database, `by_links`, the registry's own links say it, and nobody else surveys.
    """

    listed: Callable[[], Path]
    surveyed: Callable[[], Survey] | None = None
    by_links: bool = False


class Images:
    """Takes the blobs of one attempt."""

    def __init__(self, context: Context, draft: Draft) -> None:
        self._context = context
        self._draft = draft

    def survey(self, source: config.FilesystemBlobs, listed: Callable[[], Path]) -> Survey:
        """Ask the manifests while the blobs are stored, for the first time takes a while."""
        return self._surveyor(source).by_database(listed())

    def take(self, source: config.FilesystemBlobs | config.BucketBlobs, wanted: Wanted | None) -> None:
        """Store the blobs, and compare them with what must be there if that is known. Raises ToolFailed."""
        match source:
            case config.FilesystemBlobs():
                self._from_directory(source, wanted)
            case config.BucketBlobs():
                self._from_bucket(source, wanted)
            case _:
                assert_never(source)

    def keep_digests(self, listed: Path) -> None:
        """Put the list of digests that must be there into the seal."""
        self._draft.begin("digests", "digests", digests.FILE_NAME).seal(listed)

    def _surveyor(self, source: config.FilesystemBlobs) -> Surveyor:
        root = source.path.resolve()
        read = partial(image_manifests.read, root)
        return Surveyor(self._draft.directory, self._context.state.manifests, read, OnDisk(root))

    def _from_bucket(self, source: config.BucketBlobs, wanted: Wanted | None) -> None:
        """Copy what the vault lacks; then compare what it has with what must be there."""
        context, draft = self._context, self._draft
        vault = context.settings.vault
        assert vault is not None  # the configuration has been checked

        context.vault.begin()
        with bucket_ends.opened(source, vault) as ends:
            bucket_ends.refuse_metadata_database(ends.source, ends.source_place)
            damaged = damage.remembered(ends.vault, ends.vault_place)
            # By the service's clock, which says when a lock ends.
            locking = locking_of(ends.vault, context.settings, ends.vault.now())
            doubts = PendingCopies(context.state.copying)
            if wrong := doubts.settle(ends.vault, ends.vault_place):
                draft.warnings.append(
                    f"{wrong} blobs that a killed run had copied wrongly were removed from the vault again"
                )
            run = Surroundings(
                draft.directory,
                context.state.manifests,
                draft.begin,
                self._save_stream,
                context.repository,
                context.previous,
                context.listener,
                doubts,
                damaged,
                executors.executor(context.settings.cluster, WORKERS, draft.directory),
            )
            point = BucketPoint(ends, locking, run, links_count=wanted is not None and wanted.by_links)
            point.capture()
            draft.bucket, draft.shared = point.summary, point.shared
            draft.warnings += point.warnings
            if wanted is not None:
                listed = wanted.listed()
                self._keep(point.prove(listed), listed, wanted)

    def _save_stream(self, pieces: Iterable[bytes], name: str, kind: PartKind) -> Saved:
        """Store a stream as the one file of a part that there is one of."""
        tags = self._context.tags(self._draft.point, kind, kind)
        return self._context.repository.save_stream(pieces, name, tags, self._context.host)

    def _from_directory(self, source: config.FilesystemBlobs, wanted: Wanted | None) -> None:
        for again, last in ((False, False), (True, False), (True, True)):
            # Copying the links costs as many files: only where it was seen that pushes go on meanwhile.
            pushes = again or self._draft.attempt > 1
            saved = self._store_blobs(source, hold_links=pushes and wanted is not None and wanted.by_links)
            if wanted is None:
                return
            try:
                self._close(source, saved, wanted)
            except SourceChanged:
                if last:
                    raise
                # A link was read while it was written. The next attempt reads that again, and what is new.
                self._draft.take_back(self._context.repository, saved.snapshot)
            else:
                return

    def _store_blobs(self, source: config.FilesystemBlobs, *, hold_links: bool) -> Saved:
        """Store the blobs as a part of this point."""
        context, draft = self._context, self._draft
        root = source.path.resolve()
        part = draft.begin("blobs", "blobs", str(root))
        tags = context.tags(draft.point, "blobs", "blobs")
        name = freeze.prefix(context.host) + draft.directory.name
        place = freeze.Place(context.state.volumes, name)
        where = (context.repository, tags, context.host, context.listener, place)
        hold = draft.directory / "held-links" if hold_links else None
        saved, view = capture.capture(source, *where, hold)
        draft.volume = Volume(view.kind, view.why, view.seconds)
        draft.warnings += [warning for warning in view.warnings if warning not in draft.warnings]
        part.store(saved)
        return saved

    def _close(self, source: config.FilesystemBlobs, saved: Saved, wanted: Wanted) -> None:
        """Compare what was captured with what must be there.

        Raises SourceChanged where a link was caught while it was being written, ToolFailed where the capture
        lacks what production has.
        """
        listed, listener = wanted.listed(), self._context.listener
        listener(Update("closure"))
        prover = Prover(self._context.repository, source.path.resolve(), saved, self._surveyor(source))
        proof = prover.prove(listed, wanted.surveyed) if wanted.surveyed else prover.prove_by_links(listed)
        listener(Update("closure", finished=True))
        self._keep(proof, listed, wanted)

    def _keep(self, proof: Proof, listed: Path, wanted: Wanted) -> None:
        """Keep what was found out; raises ToolFailed where the capture lacks what production has."""
        draft = self._draft
        if wanted.by_links:
            draft.digest_count = digests.count(listed)
            self.keep_digests(listed)
        if proof.closure.dangling:
            written = draft.directory / dangling.FILE_NAME
            draft.begin("dangling", "dangling", dangling.FILE_NAME).seal(written)
        draft.add_proof(proof)
