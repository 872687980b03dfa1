"""Image blobs in a sandbox: from the repository, or by a bucket's inventory from its vault."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from drkit.blobs import inventory
from drkit.blobs.bucket import links_archive
from drkit.blobs.bucket.links_archive import Link
from drkit.blobs.dangling import Known
from drkit.blobs.directory.arrival import hash_arriving
from drkit.blobs.directory.cleaning import DISTRIBUTION, LAYOUTS, Cleaned, clean
from drkit.blobs.inventory import Entry
from drkit.blobs.units.executors import Executor
from drkit.blobs.vault import fetching as bucket_restore
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.data import VaultData
from drkit.blobs.vault.fetching import Fetched
from drkit.blobs.vault.reading import VaultReader
from drkit.model import Bucketed
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, Meter
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.registry.storage import Tag
from drkit.sandbox import early
from drkit.sandbox.sample import Sample
from drkit.tools.parallel import side_by_side
from drkit.tools.registry import PATIENCE_SECONDS, hashes_to
from drkit.tools.restic.repository import Repository

STAGE = "restore blobs"
# Where there is no room for them.
STREAMING = "read blobs"
# A vault is asked eight times, of which each may take a minute, with pauses in between.
_LONG_SECONDS = 900.0
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


class Elsewhere(Protocol):
    """Where blobs are that are on no disk of the sandbox."""

    @property
    def gone(self) -> str:
        """Why they cannot be read any more; empty as long as they can."""


@dataclass(frozen=True)
class RestoredBlobs:
    """The registry's root directory, what was no part of it, and what is to be said of a vault.

    Blobs that were `streamed` are on no disk, but where they come `elsewhere` from: the root is in a mount of
    the repository; or it has links, manifests, and empty files as long as the blobs of a vault, of which
    `data` has the bytes.
    """

    root: Path
    cleaned: Cleaned
    vault: FromVault | None = None
    elsewhere: Elsewhere | None = None
    data: VaultData | None = None

    @property
    def streamed(self) -> bool:
        """Whether they are on no disk."""
        return self.elsewhere is not None

    @property
    def gone(self) -> str:
        """Why nothing can be said of them any more; empty as long as they are there."""
        return self.elsewhere.gone if self.elsewhere else ""

    @property
    def patience(self) -> float:
        """How many seconds the registry may say nothing: it may wait for a vault or a repository itself."""
        return _LONG_SECONDS if self.streamed else PATIENCE_SECONDS

    def small(self, digest: str) -> bytes | None:
        """See storage.read_small; raises ToolFailed where the vault cannot be read."""
        found = storage.read_small(self.root, digest)
        if found is not None or self.data is None:
            return found
        size = _size(self.root, digest)
        if size is None or size > storage.SMALL:
            return None
        data = b"".join(self.data.read(digest, 0))
        return data if hashes_to(data, digest) else None

    def one_whole(self, scratch: Path) -> Path:
        """A root directory in which a small blob has its bytes, if there is one; it may be `scratch`."""
        if self.data is None:
            return self.root
        for digest, size in storage.stored_blobs(self.root):
            if 0 < size <= storage.SMALL and (data := self.small(digest)) is not None:
                path = storage.blob_path(scratch, digest)
                path.parent.mkdir(parents=True)
                path.write_bytes(data)
                break
        return scratch


@dataclass(frozen=True)
class BlobsBuilder:
    """Restores the blobs of a point below `directory`; the `ledger` knows of those hashed on the way."""

    repository: Repository
    files: SealFiles
    directory: Path
    stack: ExitStack
    open_vault: OpenVault
    executor: Executor
    ledger: Ledger
    listener: Listener
    cleaned: Cleaned = field(default_factory=Cleaned)

    @property
    def root(self) -> Path:
        """The registry's root directory."""
        part = None if self.files.manifest.bucket else self.files.manifest.need("blobs", "blobs")
        return self.directory / "blobs" / (PurePosixPath(part.path).name if part else "registry")

    def prepare(self) -> None:
        """Make the registry's root directory: a registry may be started on it."""
        self.root.parent.mkdir(mode=0o700)
        self.root.mkdir(mode=0o755)

    def restore(self, wanted: Sample | None = None) -> RestoredBlobs:
        """All blobs and links, or those of a sample alone. Raises RestoreDamaged, the tools' errors."""
        if self.files.manifest.bucket is not None:
            return self.from_vault(
                self.stack.enter_context(self.open_vault(self.files.manifest.bucket)), wanted
            )
        if wanted is None:
            paths = self.repository.restored_files(*self._whence, keep=True, listener=self.listener)
            hash_arriving(paths, self.root, self.ledger)
            grammar = LAYOUTS if self.files.manifest.storage == "oci" else DISTRIBUTION
            clean(self.root, cut_links=False, grammar=grammar, found=self.cleaned)
        else:
            self._bring(wanted.repositories, wanted.digests)
        return RestoredBlobs(self.root, self.cleaned)

    def bring_one(self, listed: Path | None, dangling: Known) -> Tag | None:
        """Restore one image before all others, see early.py; None where that cannot be."""
        if self.files.manifest.bucket is not None:
            return None
        return early.bring_one(self.root, listed, dangling, self._bring)

    @property
    def _whence(self) -> tuple[str, Path]:
        """The parent folder in the snapshot, so that the root itself has its owner and mode; and where to."""
        part = self.files.manifest.need("blobs", "blobs")
        return f"{part.snapshot}:{PurePosixPath(part.path).parent}", self.root.parent

    def _bring(self, repositories: Collection[str] | None, digests: Collection[str]) -> None:
        """Restore the links of some repositories, None for all, and some blobs."""
        root = PurePosixPath("/") / self.root.name
        links = [""] if repositories is None else sorted(repositories)
        patterns = [str(root / storage.REPOSITORIES / name) for name in links]
        patterns += [str(root / storage.blob_name(digest)) for digest in digests]
        if not patterns:
            return
        include = self.directory / "include"
        include.write_text("\n".join(patterns) + "\n", encoding="utf-8")
        source, target = self._whence
        self.repository.restore(source, target, include=include, keep=True, listener=self.listener)
        # At once: behind a link would be production, or nothing, and what is read there proves nothing.
        clean(self.root, cut_links=False, found=self.cleaned)

    def from_vault(
        self, shelf: VaultReader, wanted: Sample | None, bare: Callable[[str, str], object] | None = None
    ) -> RestoredBlobs:
        """The same of a point whose blobs are in the open vault; see fetching.fetch for `bare`."""
        root = self.root
        listed = inventory.from_lines(self.files.lines("inventory", "inventory"))
        entries = _Noting(vault_reading.checked(listed), wanted.digests if wanted else None)
        total = self.files.manifest.need("inventory", "inventory").bytes if wanted is None else None
        meter = Meter(self.listener, STAGE if bare is None else STREAMING, total)
        links = self.files.manifest.need("links", "links")
        archive = links_archive.read(self.repository.read(links.snapshot, links.path))
        if wanted is not None:
            archive = _of_repositories(archive, wanted.repositories)

        def fetch() -> Fetched:
            arrived, executor = self.ledger.confirm, self.executor
            return bucket_restore.fetch(
                shelf, entries, root, meter, arrived=arrived, executor=executor, bare=bare
            )

        with side_by_side() as tasks:
            blobs = tasks.begin("blobs", fetch)
            unpacked = tasks.begin("links", lambda: links_archive.unpack(archive, root))
        fetched, _ = blobs(), unpacked()
        return RestoredBlobs(root, Cleaned(), FromVault(shelf, fetched, entries.sample))


def _size(root: Path, digest: str) -> int | None:
    try:
        return storage.blob_path(root, digest).stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _of_repositories(links: Iterable[Link], names: Collection[str]) -> Iterator[Link]:
    tops = tuple(f"{storage.REPOSITORIES}/{name}/" for name in names)
    return (link for link in links if link.name.startswith(tops))


class _Noting:
    """The wanted entries, and one small one that was among them."""

    def __init__(self, entries: Iterable[Entry], wanted: Collection[str] | None) -> None:
        self._entries = entries
        self._wanted = wanted
        self.sample: Entry | None = None

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            if self._wanted is None or entry.digest in self._wanted:
                if self.sample is None and 0 < entry.size <= storage.SMALL:
                    self.sample = entry
                yield entry
