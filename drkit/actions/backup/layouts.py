"""The images of an attempt where each repository is an OCI layout: stored, and proved to be whole."""

from __future__ import annotations

from drkit import config
from drkit.actions.backup.context import Context
from drkit.actions.backup.draft import Draft
from drkit.blobs import dangling, digests
from drkit.blobs.layouts import capture
from drkit.blobs.layouts.proof import LayoutProver
from drkit.errors import SourceChanged
from drkit.model import Volume
from drkit.progress import Update
from drkit.registry import image_list
from drkit.tools.restic.output import Saved
from drkit.volumes import freeze


class Layouts:
    """Takes the images of one attempt."""

    def __init__(self, context: Context, draft: Draft) -> None:
        self._context = context
        self._draft = draft

    def take(self, source: config.LayoutBlobs) -> None:
        """Store the layouts, and prove that they are whole. Raises SourceChanged, ToolFailed.

        Where somebody pushed or deleted while they were read, the next try reads only what is new.
        """
        for last in (False, False, True):
            saved = self._store(source)
            try:
                self._prove(source, saved, last=last)
            except SourceChanged:
                if last:
                    raise
                self._draft.take_back(self._context.repository, saved.snapshot)
            else:
                return

    def _store(self, source: config.LayoutBlobs) -> Saved:
        context, draft = self._context, self._draft
        part = draft.begin("blobs", "blobs", str(source.path.resolve()))
        tags = context.tags(draft.point, "blobs", "blobs")
        place = freeze.Place(context.state.volumes, freeze.prefix(context.host) + draft.directory.name)
        saved, view = capture.capture(source, context.repository, tags, context.host, context.listener, place)
        draft.volume = Volume(view.kind, view.why, view.seconds)
        draft.warnings += [warning for warning in view.warnings if warning not in draft.warnings]
        part.store(saved)
        return saved

    def _prove(self, source: config.LayoutBlobs, saved: Saved, *, last: bool) -> None:
        context, draft = self._context, self._draft
        context.listener(Update("closure"))
        repository, root = context.repository, source.path.resolve()
        prover = LayoutProver(repository, root, saved, draft.directory, last=last)
        proof = prover.prove()
        context.listener(Update("closure", finished=True))
        draft.digest_count = digests.count(prover.listed)
        draft.begin("digests", "digests", digests.FILE_NAME).seal(prover.listed)
        draft.begin("tags", "tags", image_list.FILE_NAME).seal(prover.images)
        if proof.closure.dangling:
            written = draft.directory / dangling.FILE_NAME
            draft.begin("dangling", "dangling", dangling.FILE_NAME).seal(written)
        draft.add_proof(proof)
