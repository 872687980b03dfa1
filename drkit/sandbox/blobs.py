"""Image blobs in a sandbox: from the repository, or by a bucket's inventory from its vault."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drkit.blobs import inventory
from drkit.blobs.bucket import links_archive
from drkit.blobs.directory.cleaning import DISTRIBUTION, LAYOUTS, Cleaned, clean
from drkit.blobs.inventory import Entry
from drkit.blobs.vault import fetching as bucket_restore
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.fetching import Fetched
from drkit.blobs.vault.reading import VaultReader
from drkit.model import Bucketed
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, Meter
from drkit.registry import storage
from drkit.tools.parallel import side_by_side
from drkit.tools.restic.repository import Repository

STAGE = "restore blobs"
# A blob up to this size is read once more, to plant a fault in.
_SMALL = 4 << 20
OpenVault = Callable[[Bucketed], AbstractContextManager[VaultReader]]


@dataclass(frozen=True)
class FromVault:
    """What came from a vault, and one small blob of it; the vault stays open for as long as the sandbox."""

    shelf: VaultReader
    fetched: Fetched
    sample: Entry | None

    @property
    def where(self) -> str:
        """Where the vault is, and whether it is another one than the point names."""
        other = "" if self.shelf.original else ", which is not where the point has them"
        return f"{self.shelf.place.where}{other}"


@dataclass(frozen=True)
class RestoredBlobs:
    """The registry's root directory, what was no part of it, and what is to be said of a vault."""

    root: Path
    cleaned: Cleaned
    vault: FromVault | None = None


@dataclass(frozen=True)
class BlobsBuilder:
    """Restores the blobs of a point below `directory`."""

    repository: Repository
    files: SealFiles
    directory: Path
    stack: ExitStack
    open_vault: OpenVault
    listener: Listener

    def restore(self, wanted: Collection[str] | None = None) -> RestoredBlobs:
        """All blobs, or the `wanted` digests alone; all links. Raises RestoreDamaged, the tools' errors."""
        target = self.directory / "blobs"
        target.mkdir(mode=0o700)
        if self.files.manifest.bucket is not None:
            return self._from_vault(target / "registry", self.files.manifest.bucket, wanted)
        root = self._from_repository(target, wanted)
        # At once: behind a link would be production, or nothing, and what is read there proves nothing.
        grammar = LAYOUTS if self.files.manifest.storage == "oci" else DISTRIBUTION
        return RestoredBlobs(root, clean(root, cut_links=False, grammar=grammar))

    def _from_repository(self, target: Path, wanted: Collection[str] | None) -> Path:
        part = self.files.manifest.need("blobs", "blobs")
        where = PurePosixPath(part.path)
        include = None if wanted is None else self._patterns(PurePosixPath("/") / where.name, wanted)
        # The parent folder, so that the root directory itself comes back with its owner and mode.
        source = f"{part.snapshot}:{where.parent}"
        self.repository.restore(source, target, include=include, listener=self.listener)
        return target / where.name

    def _patterns(self, root: PurePosixPath, wanted: Collection[str]) -> Path:
        patterns = [str(root / storage.REPOSITORIES), *(str(root / storage.blob_name(d)) for d in wanted)]
        include = self.directory / "include"
        include.write_text("\n".join(patterns) + "\n", encoding="utf-8")
        return include

    def _from_vault(self, root: Path, bucketed: Bucketed, wanted: Collection[str] | None) -> RestoredBlobs:
        root.mkdir()
        shelf = self.stack.enter_context(self.open_vault(bucketed))
        listed = inventory.from_lines(self.files.lines("inventory", "inventory"))
        entries = _Noting(vault_reading.checked(listed), wanted)
        total = self.files.manifest.need("inventory", "inventory").bytes if wanted is None else None
        meter = Meter(self.listener, STAGE, total)
        links = self.files.manifest.need("links", "links")
        archive = links_archive.read(self.repository.read(links.snapshot, links.path))
        with side_by_side() as tasks:
            blobs = tasks.begin("blobs", lambda: bucket_restore.fetch(shelf, entries, root, meter))
            unpacked = tasks.begin("links", lambda: links_archive.unpack(archive, root))
        fetched, _ = blobs(), unpacked()
        return RestoredBlobs(root, Cleaned(), FromVault(shelf, fetched, entries.sample))


class _Noting:
    """The wanted entries, and one small one that was among them."""

    def __init__(self, entries: Iterable[Entry], wanted: Collection[str] | None) -> None:
        self._entries = entries
        self._wanted = wanted
        self.sample: Entry | None = None

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            if self._wanted is None or entry.digest in self._wanted:
                if self.sample is None and 0 < entry.size <= _SMALL:
                    self.sample = entry
                yield entry
