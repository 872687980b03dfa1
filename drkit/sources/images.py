"""The image blobs of an attempt, from a directory or a bucket: stored, and proved to be whole."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import assert_never

from drkit import config
from drkit.errors import DrkitError, SourceChanged
from drkit.model import ManifestProof, Volume, utc_now
from drkit.progress import Update
from drkit.sources import blobs
from drkit.sources.bucket import ends as bucket_ends
from drkit.sources.bucket.point import BucketPoint, Surroundings
from drkit.sources.closure import Prover, prove_manifests
from drkit.sources.record import Record
from drkit.sources.vault.doubts import Doubts
from drkit.sources.vault.locking import locking_of
from drkit.sources.vault.work import VaultWork
from drkit.tools.restic_output import Saved
from drkit.volumes import freeze


class Images:
    """Takes the blobs of one attempt; `listed` is where somebody else says which digests must be there."""

    def __init__(self, record: Record, vault_work: VaultWork) -> None:
        self.listed: Future[Path] = Future()
        self._proved: Future[ManifestProof] = Future()
        self._record = record
        self._vault_work = vault_work

    def manifests(self, source: config.FilesystemBlobs) -> None:
        """Prove the manifests while the blobs are stored, for the first time takes a while.

        Whoever waits for the outcome meets what went wrong.
        """
        try:
            self._proved.set_result(self._prove(source, self.listed.result()))
        except BaseException as error:
            self._proved.set_exception(error)
            if not isinstance(error, DrkitError):
                raise

    def _prove(self, source: config.FilesystemBlobs, listed: Path) -> ManifestProof:
        memory = self._record.state.manifests
        return prove_manifests(source.path.resolve(), self._record.directory, listed, memory)

    def take(
        self, source: config.FilesystemBlobs | config.BucketBlobs, *, close: bool, by_links: bool
    ) -> None:
        """Store the blobs; with `close`, compare them with what must be there. Raises ToolFailed.

        That is what a database refers to, or with `by_links` what the registry's own links do.
        """
        match source:
            case config.FilesystemBlobs():
                self._from_directory(source, close=close, by_links=by_links)
            case config.BucketBlobs():
                self._from_bucket(source, close=close, by_links=by_links)
            case _:
                assert_never(source)

    def _from_bucket(self, source: config.BucketBlobs, *, close: bool, by_links: bool) -> None:
        """Copy what the vault lacks; then compare what it has with what the databases refer to."""
        vault = self._record.settings.vault
        assert vault is not None  # the configuration has been checked

        self._vault_work.begin()
        with bucket_ends.opened(source, vault) as ends:
            locking = locking_of(ends.vault, self._record.settings, utc_now())
            state = self._record.state
            doubts = Doubts(state.copying)
            if wrong := doubts.settle(ends.vault, ends.vault_place):
                self._record.captured.warnings.append(
                    f"{wrong} blobs that a killed run had copied wrongly were removed from the vault again"
                )
            run = Surroundings(
                self._record.directory,
                state.manifests,
                self._record.part,
                self._record.save_stream,
                self._record.repository,
                self._record.before,
                self._record.listener,
                doubts,
            )
            point = BucketPoint(ends, locking, run, links_count=by_links)
            point.capture()
            self._record.captured.bucket = point.summary
            self._record.captured.warnings += point.warnings
            if not close:
                return
            listed = self.listed.result()
            if by_links:
                self._record.captured.digest_count = point.list_links(listed)
                self._record.save_digests(listed)
            self._record.keep_proof(point.prove(listed))

    def _from_directory(self, source: config.FilesystemBlobs, *, close: bool, by_links: bool) -> None:
        for last in (False, False, True):
            saved = self._store_blobs(source)
            if not close:
                return
            listed = self.listed.result()
            try:
                self._close(source, saved, listed, by_links=by_links)
            except SourceChanged:
                if last:
                    raise
                # A link was read while it was written. The next attempt reads that again, and what is new.
                self._record.take_back(saved.snapshot)
            else:
                return

    def _store_blobs(self, source: config.FilesystemBlobs) -> Saved:
        """Store the blobs as a part of this point."""
        root = source.path.resolve()
        with self._record.part("blobs", "blobs", str(root)) as keep:
            tags = self._record.tags("blobs", "blobs")
            name = freeze.prefix(self._record.host) + self._record.directory.name
            place = freeze.Place(self._record.state.volumes, name)
            saved, view = blobs.capture(
                source, self._record.repository, tags, self._record.host, self._record.listener, place
            )
            self._record.captured.volume = Volume(view.kind, view.why, view.seconds)
            known = self._record.captured.warnings
            self._record.captured.warnings += [warning for warning in view.warnings if warning not in known]
            keep(saved)
        return saved

    def _close(self, source: config.FilesystemBlobs, saved: Saved, listed: Path, *, by_links: bool) -> None:
        """Compare what was captured with what must be there.

        Raises SourceChanged where a link was caught while it was being written, ToolFailed where the capture
        lacks what production has.
        """
        self._record.listener(Update("closure"))
        prover = Prover(self._record.repository, source.path.resolve(), saved, self._record.directory)
        proved = self._proved.result
        if by_links:
            self._record.captured.digest_count = prover.list_links(listed)
            self._record.save_digests(listed)
            proved = partial(self._prove, source, listed)
        proof = prover.prove(listed, proved)
        self._record.listener(Update("closure", finished=True))
        self._record.keep_proof(proof)
