"""Bringing image blobs back: from the repository or a vault, into a directory or a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drkit import config
from drkit.checks import images
from drkit.checks.finding import Finding
from drkit.errors import ConfigError, DrkitError, RestoreDamaged
from drkit.harbor import closure, storage
from drkit.harbor.closure import Blob
from drkit.model import Bucketed, Manifest, Outcome
from drkit.progress import Listener, Meter
from drkit.sources import digests, placing
from drkit.sources import listing as captured
from drkit.sources.bucket import links_archive
from drkit.sources.bucket import restore as bucket_restore
from drkit.sources.bucket.ends import place_of_blobs
from drkit.sources.bucket.filling import Census, Filling
from drkit.sources.bucket.links_archive import Link
from drkit.sources.bucket.opening import open_bucket
from drkit.sources.bucket.restore import Fetched
from drkit.sources.vault import reading as vault_reading
from drkit.sources.vault.reading import Shelf
from drkit.state import remove_tree
from drkit.stopwatch import Stopwatch
from drkit.tools import tar_stream
from drkit.tools.parallel import together
from drkit.tools.restic import Repository

_STAGE = "restore image blobs"


@dataclass(frozen=True)
class Returned:
    """What there is to say of blobs that came back."""

    verified: str
    set_aside: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlobsRestore:
    """Brings the blobs of one point back; `directory` is private to this run."""

    settings: config.Config
    repository: Repository
    manifest: Manifest
    directory: Path
    stopwatch: Stopwatch
    listener: Listener

    def run(self, where: Path | config.BucketBlobs) -> Returned:
        """Bring them there; raises RestoreDamaged where they are not what was backed up."""
        with self.stopwatch.stage(_STAGE):
            match where, self.manifest.bucket:
                case Path(), None:
                    return self._directory_to_directory(where)
                case Path(), Bucketed() as bucketed:
                    return self._vault_to_directory(where, bucketed)
                case _:
                    assert isinstance(where, config.BucketBlobs)
                    return self._to_bucket(where)

    def _directory_to_directory(self, target: Path) -> Returned:
        part = self.manifest.need("blobs", "blobs")
        stood, staging = PurePosixPath(part.path), self._staging(target)
        self.repository.restore(f"{part.snapshot}:{stood.parent}", staging, listener=self.listener)
        restored = staging / stood.name
        with self.stopwatch.stage("verify image blobs"):
            hashed, agreed = self._hash(restored, staging), self._closure_in(restored)
        return self._place(restored, staging, target, f"{hashed.detail}; {agreed.detail}", _gaps(agreed))

    def _vault_to_directory(self, target: Path, bucketed: Bucketed) -> Returned:
        staging = self._staging(target)
        restored = staging / "registry"
        restored.mkdir(exist_ok=True)
        restored.chmod(0o755)
        with vault_reading.opened(self.settings, bucketed) as shelf:
            entries = vault_reading.entries(self.repository, self.manifest)
            outcomes = together(
                {
                    "blobs": lambda: bucket_restore.fetch(shelf, entries, restored, self._meter("inventory")),
                    "links": lambda: links_archive.unpack(self._archived_links(), restored),
                }
            )
        fetched, count = _come_back(outcomes["blobs"]), _come_back(outcomes["links"])
        assert isinstance(fetched, Fetched)
        assert isinstance(count, int)
        _refuse_bad(fetched, f"what came is in {staging}; use another point")
        agreed = self._closure_in(restored)
        said = f"{fetched.describe(shelf.place.where)} on the way; {count:,} links; {agreed.detail}"
        owner = (
            f"{target} belongs to drkit's user: give it to the registry's before it starts, as"
            f" `chown -R 10000:10000` does for Harbor's"
        )
        return self._place(
            restored,
            staging,
            target,
            said,
            (*_elsewhere(shelf, bucketed), *_gaps(agreed), *self._links_short(count), owner),
        )

    def _to_bucket(self, blobs: config.BucketBlobs) -> Returned:
        place = place_of_blobs(blobs)
        kind = "inventory" if self.manifest.bucket else "blobs"
        with open_bucket(blobs) as bucket:
            filling = Filling(bucket, place, self.manifest.id, self._meter(kind))
            filling.begin()
            source = _VaultSource(self) if self.manifest.bucket else _DirectorySource(self)
            fetched = source.fill(filling)
            _refuse_bad(fetched, f"what came is in {place.where}, and is gone on with by the same command")
            filling.links(source.links)
            with self.stopwatch.stage("verify image blobs"):
                count = self._look_again(filling, source)
                agreed = images.closure_of(self._listed(), filling.present())
            left = filling.end()
        said = (
            f"{fetched.describe(source.where)} before it was to be seen; {count:,} links; all listed again;"
            f" {agreed.detail}"
        )
        warnings = (*source.warnings, *_gaps(agreed), *self._links_short(count), *([left] if left else []))
        return Returned(said, warnings=warnings)

    def _look_again(self, filling: Filling, source: _VaultSource | _DirectorySource) -> int:
        """See in a new listing that everything is there; returns how many links there are."""
        hint = "run the same command again: it brings what is missing"
        found = closure.closure(source.blobs(), filling.present())
        if not found.whole:
            names = ", ".join((found.missing_names + found.mismatch_names)[:3])
            raise RestoreDamaged(
                f"the bucket has {found.missing:,} blobs less than were put there,"
                f" and {found.size_mismatch:,} of another size: {names}",
                hint=hint,
            )
        wanted, there = Census.of((link.name, len(link.held)) for link in source.links()), filling.census()
        if wanted != there:
            raise RestoreDamaged(
                f"the bucket has {there.links:,} links and not the {wanted.links:,} that were put there",
                hint=f"see that nobody pushes to it; {hint}",
            )
        return wanted.links

    def _archived_links(self) -> Iterator[Link]:
        part = self.manifest.need("links", "links")
        return links_archive.read(self.repository.read(part.snapshot, part.path))

    def _links_short(self, count: int) -> tuple[str, ...]:
        """What a listing counted and the archive has not: links that went while they were read, say."""
        proof = self.manifest.closure and self.manifest.closure.links
        if not self.manifest.bucket or not proof or proof.links == count:
            return ()
        return (f"{count:,} links came back, and {proof.links:,} were seen by the backup",)

    def _hash(self, root: Path, staging: Path) -> Finding:
        """Hash every byte: restic's exit code alone proves nothing."""
        ledger = images.Ledger(self.directory / "ledger.db")
        try:
            found = images.blobs_hash(root, ledger)
        finally:
            ledger.close()
        if found.outcome is Outcome.FAILED:
            raise RestoreDamaged(
                f"restored blobs are damaged: {found.detail}",
                hint=f"they are in {staging}; use another point",
            )
        return found

    def _closure_in(self, root: Path) -> Finding:
        return images.closure_holds(root, self._listed())

    def _listed(self) -> Iterator[tuple[str, int | None]]:
        listed = self.manifest.need("digests", "digests")
        return digests.from_lines(self.repository.read(listed.snapshot, listed.path))

    def _place(
        self, restored: Path, staging: Path, target: Path, verified: str, warnings: tuple[str, ...]
    ) -> Returned:
        aside = placing.take_place(restored, target, f".before-{self.manifest.id}")
        remove_tree(staging)
        return Returned(verified, (str(aside),) if aside else (), warnings)

    def _staging(self, target: Path) -> Path:
        staging = placing.staging_for(target, self.manifest.id)
        try:
            staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot make {staging}: {error.strerror}", hint="see path in [blobs], or use --root DIR"
            ) from None
        return staging

    def _meter(self, kind: str) -> Meter:
        total = next((part.bytes for part in self.manifest.parts if part.kind == kind), None)
        return Meter(self.listener, _STAGE, total)


class _VaultSource:
    """What a bucket's point has, for a bucket."""

    def __init__(self, restore: BlobsRestore) -> None:
        self._restore = restore
        self.where = ""
        self.warnings: tuple[str, ...] = ()

    def fill(self, filling: Filling) -> Fetched:
        bucketed = self._restore.manifest.bucket
        assert bucketed is not None
        with vault_reading.opened(self._restore.settings, bucketed) as shelf:
            self.where = shelf.place.where
            self.warnings = _elsewhere(shelf, bucketed)
            return filling.from_vault(
                shelf, vault_reading.entries(self._restore.repository, self._restore.manifest)
            )

    def blobs(self) -> Iterator[Blob]:
        for entry in vault_reading.entries(self._restore.repository, self._restore.manifest):
            yield entry.digest, entry.size

    def links(self) -> Iterator[Link]:
        return self._restore._archived_links()


class _DirectorySource:
    """What a directory's point has, for a bucket: read from its snapshot as it streams by."""

    where = "the repository"
    warnings: tuple[str, ...] = ()

    def __init__(self, restore: BlobsRestore) -> None:
        self._repository = restore.repository
        self._part = restore.manifest.need("blobs", "blobs")

    def fill(self, filling: Filling) -> Fetched:
        return filling.from_archive(self._members(str(storage.BLOBS)))

    def blobs(self) -> Iterator[Blob]:
        return captured.captured_blobs(self._repository, self._part.snapshot, self._part.path)

    def links(self) -> Iterator[Link]:
        for member in self._members(str(storage.REPOSITORIES)):
            if member.kind == "file" and links_archive.is_link(member.name):
                yield Link(member.name, b"".join(member.pieces), member.modified)

    def _members(self, path: str) -> Iterator[tar_stream.Member]:
        snapshot, root = self._part.snapshot, self._part.path
        # A registry that has never had an image lacks the directory, and that is no error.
        if next(self._repository.files(snapshot, f"{root}/{path}"), None) is not None:
            pieces = self._repository.archive(f"{snapshot}:{root}", f"/{path}")
            yield from tar_stream.members(pieces, "the snapshot of the blobs")


def _come_back(outcome: object) -> object:
    if isinstance(outcome, DrkitError):
        raise outcome
    return outcome


def _refuse_bad(fetched: Fetched, hint: str) -> None:
    if fetched.bad:
        raise RestoreDamaged(
            f"{fetched.bad:,} blobs cannot be had: {'; '.join(fetched.faults[:3])}", hint=hint
        )


def _elsewhere(shelf: Shelf, bucketed: Bucketed) -> tuple[str, ...]:
    """Another vault than the one that the point names is good as well, but it has versions of its own."""
    if shelf.original:
        return ()
    return (
        f"the blobs were taken from {shelf.place.where} and not from {bucketed.vault.where}, where the point"
        " has them: by their digests, as they are there now",
    )


def _gaps(found: Finding) -> tuple[str, ...]:
    """Images that lack something: they did in production too when the point was sealed, and it says so."""
    return () if found.outcome is not Outcome.FAILED else (f"some images cannot be pulled: {found.detail}",)
