"""Bringing image blobs back: from the repository or a vault, into a directory or a bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from drkit import config
from drkit.actions.restore import lacking as restore_lacking
from drkit.actions.restore.lacking import WrongBlobs
from drkit.actions.restore.layouts import LayoutsRestore
from drkit.actions.restore.snapshot_tree import STAGE, SnapshotTree
from drkit.blobs import dangling, digests, inventory
from drkit.blobs.bucket import links_archive
from drkit.blobs.bucket.filling import BucketRestore
from drkit.blobs.bucket.link_checksum import LinkChecksum
from drkit.blobs.bucket.links_archive import Link
from drkit.blobs.directory import keeping, placing
from drkit.blobs.directory import listing as captured
from drkit.blobs.directory.cleaning import clean
from drkit.blobs.ends import place_of_blobs
from drkit.blobs.inventory import Entry
from drkit.blobs.opening import open_bucket
from drkit.blobs.units import executors
from drkit.blobs.vault import fetching as bucket_restore
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.fetching import Fetched
from drkit.blobs.vault.reading import WORKERS, VaultReader
from drkit.checks import images
from drkit.errors import ConfigError, RestoreDamaged
from drkit.model import Bucketed, Closure, PointManifest, Shared
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, Meter
from drkit.registry import closure, storage
from drkit.registry.closure import Blob
from drkit.registry.ledger import Ledger
from drkit.state.directory import remove_tree
from drkit.stopwatch import Stopwatch
from drkit.tools.parallel import side_by_side
from drkit.tools.restic.repository import Repository
from drkit.tools.tar import stream


@dataclass(frozen=True)
class Returned:
    """What there is to say of blobs that came back; `lacking` says which did not, or not as they should."""

    verified: str
    lacking: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    shared: Shared | None = None


@dataclass(frozen=True)
class BlobsRestore:
    """Brings the blobs of one point back; `directory` is private to this run."""

    settings: config.Config
    repository: Repository
    files: SealFiles
    directory: Path
    stopwatch: Stopwatch
    listener: Listener

    @property
    def manifest(self) -> PointManifest:
        """What binds the point together."""
        return self.files.manifest

    def run(self, where: Path | config.BucketBlobs) -> Returned:
        """Bring them there; raises RestoreDamaged where they are not what was backed up."""
        with self.stopwatch.stage(STAGE):
            if self.manifest.storage == "oci":
                assert isinstance(where, Path)
                return self._layouts(where)
            match where, self.manifest.bucket:
                case Path(), None:
                    return self._directory_to_directory(where)
                case Path(), Bucketed() as bucketed:
                    return self._vault_to_directory(where, bucketed)
                case _:
                    assert isinstance(where, config.BucketBlobs)
                    return self._to_bucket(where)

    def _layouts(self, target: Path) -> Returned:
        staging = self._staging(target)
        restore = LayoutsRestore(self.repository, self.files, self.directory, self.stopwatch, self.listener)
        restored, proved = restore.bring(staging)
        return self._place(restored, staging, target, Returned(proved.verified, proved.lacking))

    def _directory_to_directory(self, target: Path) -> Returned:
        part = self.manifest.need("blobs", "blobs")
        staging = self._staging(target)
        restored = staging / PurePosixPath(part.path).name
        with closing(Ledger(self.directory / "ledger.db")) as ledger:
            tree = SnapshotTree(self.repository, part, self._meter("blobs"), self.listener)
            kept = tree.bring(target, staging, ledger)
            with self.stopwatch.stage("verify image blobs"):
                cleaned = clean(restored)
                hashed, wrong = self._hash(restored, ledger)
                agreed = self._closure_in(restored)
        verified = f"{hashed}; {kept}{restore_lacking.said(agreed)}"
        lacking = (*cleaned.sentences, *wrong, *restore_lacking.gaps(agreed))
        return self._place(restored, staging, target, Returned(verified, lacking))

    def _vault_to_directory(self, target: Path, bucketed: Bucketed) -> Returned:
        staging = self._staging(target)
        restored = staging / "registry"
        restored.mkdir(exist_ok=True)
        restored.chmod(0o755)
        cut: set[str] = set()
        with vault_reading.opened(self.settings, bucketed, "restore") as shelf:
            entries = self.entries()
            links = restore_lacking.whole(self._archived_links(), cut)
            meter = self._meter("inventory")
            with side_by_side() as tasks:
                old = target if keeping.is_worth_it(target, restored) else None
                cluster = self.settings.cluster.writing_to(restored)
                executor = executors.executor(cluster, WORKERS, self.directory)
                blobs = tasks.begin(
                    "blobs",
                    lambda: bucket_restore.fetch(shelf, entries, restored, meter, old, executor=executor),
                )
                unpacked = tasks.begin("links", lambda: links_archive.unpack(links, restored))
        fetched, count = blobs(), unpacked()
        agreed = self._closure_in(restored)
        came = f"{fetched.describe(shelf.place.where)} on the way; {count:,} links"
        owner = (
            f"{target} belongs to drkit's user: give it to the registry's before it starts, as"
            f" `chown -R 10000:10000` does for Harbor's"
        )
        lacking = _lacking(fetched, cut, agreed)
        warnings = (*_elsewhere(shelf, bucketed), *self._links_short(count + len(cut)), owner)
        said = f"{came}; {restore_lacking.said(agreed)}"
        back = Returned(said, lacking, warnings=warnings, shared=fetched.shared)
        return self._place(restored, staging, target, back)

    def _to_bucket(self, blobs: config.BucketBlobs) -> Returned:
        place = place_of_blobs(blobs)
        kind = "inventory" if self.manifest.bucket else "blobs"
        with open_bucket(blobs) as bucket:
            filling = BucketRestore(bucket, place, self.manifest.id, self._meter(kind))
            source = _VaultSource(self) if self.manifest.bucket else _DirectorySource(self)
            filling.begin(lambda: _names(source), self.directory)
            fetched = source.fill(filling)
            cut: set[str] = set()
            filling.links(lambda: restore_lacking.whole(source.links(), cut))
            with self.stopwatch.stage("verify image blobs"):
                count = self._look_again(filling, source, fetched.bad)
                agreed = self._closure_of(filling.present())
            lacking = _lacking(fetched, cut, agreed)
            # With its mark it is gone on with by the same command, once the vault has what it lacks.
            left = "" if fetched.bad else filling.end()
        said = (
            f"{fetched.describe(source.where)} before it was to be seen; {count:,} links; all listed again;"
            f" {restore_lacking.said(agreed)}"
        )
        warnings = (*source.warnings, *self._links_short(count + len(cut)), *([left] if left else []))
        return Returned(said, lacking, warnings=warnings, shared=fetched.shared)

    def _look_again(self, filling: BucketRestore, source: _VaultSource | _DirectorySource, bad: int) -> int:
        """See in a new listing that everything is there but `bad` blobs; returns how many links there are."""
        hint = "run the same command again: it brings what is missing"
        found = closure.closure(source.blobs(), filling.present())
        if found.missing + found.size_mismatch != bad:
            names = ", ".join((found.missing_names + found.mismatch_names)[:3])
            raise RestoreDamaged(
                f"the bucket has {found.missing:,} blobs fewer than were put there,"
                f" and {found.size_mismatch:,} of another size: {names}",
                hint=hint,
            )
        links = restore_lacking.whole(source.links(), set())
        wanted, there = LinkChecksum.of_links(links), filling.census()
        if wanted != there:
            counted = f"has {there.links:,} links and not the {wanted.links:,} that were put there"
            differ = f"has other content in some of its {there.links:,} links than was put there"
            raise RestoreDamaged(
                f"the bucket {counted if wanted.links != there.links else differ}",
                hint=f"see that nobody pushes to it; {hint}",
            )
        return wanted.links

    def entries(self) -> Iterator[Entry]:
        """What the vault has of a bucket's point."""
        return vault_reading.checked(inventory.from_lines(self.files.lines("inventory", "inventory")))

    def _archived_links(self) -> Iterator[Link]:
        part = self.manifest.need("links", "links")
        return links_archive.read(self.repository.read(part.snapshot, part.path))

    def _links_short(self, count: int) -> tuple[str, ...]:
        """What a listing counted and the archive has not: links that went while they were read, say."""
        proof = self.manifest.closure and self.manifest.closure.links
        if not self.manifest.bucket or not proof or proof.links == count:
            return ()
        return (f"{count:,} links were restored, and {proof.links:,} were seen by the backup",)

    def _hash(self, root: Path, ledger: Ledger) -> tuple[str, tuple[str, ...]]:
        """Hash every byte, for restic's exit code alone proves nothing; says how much, and what was wrong.

        A blob with wrong bytes goes: a registry would serve it under its right name.
        """
        wrong = WrongBlobs()
        part = self.manifest.need("blobs", "blobs")
        meter = Meter(self.listener, "verify image blobs", part.bytes)
        found = images.blobs_hash(root, ledger, wrong.add, meter)
        for digest in wrong.digests:
            storage.blob_path(root, digest).unlink()
        said = "every blob hashed" if wrong.digests else found.detail
        return said, wrong.sentences

    def _closure_in(self, root: Path) -> Closure:
        return self._closure_of(storage.stored_blobs(root))

    def _closure_of(self, present: Iterable[Blob]) -> Closure:
        """What the point refers to against what is there, but for layers that were never stored here.

        What manifests need and production had lost is on no list, and counts as missing.
        """
        known = dangling.Known()
        if self.manifest.part("dangling"):
            known = dangling.Known(dangling.from_lines(self.files.lines("dangling", "dangling")))
        found = closure.closure(self._listed(), present, excused=known.layer)
        return restore_lacking.with_lost(found, self.manifest.closure)

    def _listed(self) -> Iterator[tuple[str, int | None]]:
        return digests.from_lines(self.files.lines("digests", "digests"))

    def _place(self, restored: Path, staging: Path, target: Path, back: Returned) -> Returned:
        before = placing.taken(target, self.manifest.id)
        aside = placing.take_place(restored, target, self.manifest.id)
        remove_tree(staging)
        # One that was killed could tell nobody.
        said = tuple(f"set aside by an earlier restore of this point: {path}" for path in before)
        return replace(back, set_aside=(str(aside),) if aside else (), warnings=(*back.warnings, *said))

    def _staging(self, target: Path) -> Path:
        try:
            return placing.make_staging(target, self.manifest.id)
        except OSError as error:
            raise ConfigError(
                f"cannot make {error.filename}: {error.strerror}",
                hint="see path in [blobs], or use --root DIR",
            ) from None

    def _meter(self, kind: str) -> Meter:
        total = next((part.bytes for part in self.manifest.parts if part.kind == kind), None)
        return Meter(self.listener, STAGE, total)


class _VaultSource:
    """What a bucket's point has, for a bucket."""

    def __init__(self, restore: BlobsRestore) -> None:
        self._restore = restore
        self.where = ""
        self.warnings: tuple[str, ...] = ()

    def fill(self, filling: BucketRestore) -> Fetched:
        bucketed = self._restore.manifest.bucket
        assert bucketed is not None
        with vault_reading.opened(self._restore.settings, bucketed, "restore") as shelf:
            self.where = shelf.place.where
            self.warnings = _elsewhere(shelf, bucketed)
            directory = self._restore.directory
            executor = executors.executor(self._restore.settings.cluster, WORKERS, directory)
            return filling.from_vault(shelf, self._restore.entries(), executor, directory)

    def blobs(self) -> Iterator[Blob]:
        for entry in self._restore.entries():
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

    def fill(self, filling: BucketRestore) -> Fetched:
        return filling.from_archive(self._members(str(storage.BLOBS)))

    def blobs(self) -> Iterator[Blob]:
        return captured.captured_blobs(self._repository, self._part.snapshot, self._part.path)

    def links(self) -> Iterator[Link]:
        for member in self._members(str(storage.REPOSITORIES)):
            if member.kind == "file" and links_archive.is_link(member.name):
                yield Link(member.name, b"".join(member.pieces), member.modified)

    def _members(self, path: str) -> Iterator[stream.Member]:
        snapshot, root = self._part.snapshot, self._part.path
        # A registry that has never had an image lacks the directory, and that is no error.
        if next(self._repository.files(snapshot, f"{root}/{path}"), None) is not None:
            pieces = self._repository.archive(f"{snapshot}:{root}", f"/{path}")
            yield from stream.members(pieces, "the snapshot of the blobs")


def _names(source: _VaultSource | _DirectorySource) -> Iterator[str]:
    """What a point has below the registry's root."""
    yield from (str(storage.blob_name(digest)) for digest, _size in source.blobs())
    yield from (link.name for link in source.links())


def _lacking(fetched: Fetched, cut: set[str], agreed: Closure) -> tuple[str, ...]:
    return (*restore_lacking.bad(fetched), *restore_lacking.cut(cut), *restore_lacking.gaps(agreed))


def _elsewhere(shelf: VaultReader, bucketed: Bucketed) -> tuple[str, ...]:
    """Another vault than the one that the point names is good as well, but it has versions of its own."""
    if shelf.original:
        return ()
    return (
        f"the blobs were taken from {shelf.place.where} and not from {bucketed.vault.where}, where the point"
        " has them: by their digests, as they are there now",
    )
