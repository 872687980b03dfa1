"""What the manifests of a registry tell: what must be there, and what production itself does not serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from drkit.blobs import dangling, digests
from drkit.blobs.dangling import ImageSpool, Production
from drkit.blobs.link_spool import LinkSpool
from drkit.blobs.manifest_cache import ManifestCache
from drkit.errors import ToolFailed
from drkit.model import Dangling, ManifestProof
from drkit.registry import links, storage
from drkit.registry.image_manifests import Needs

# The manifests of the images, in the run's directory.
ARTIFACTS = "artifacts.jsonl"
_BATCH = 50_000

T = TypeVar("T")
# (repository, digest) of a manifest.
Image = tuple[str, str]


@dataclass(frozen=True)
class OnDisk:
    """A registry's storage in a directory, as it is now."""

    root: Path

    def size(self, digest: str) -> int | None:
        """The size of a blob, or None where it is not there; raises ToolFailed."""
        path = storage.blob_path(self.root, digest)
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ToolFailed(f"cannot look at {path}: {error.strerror}") from None

    def linked(self, repository: str, digest: str) -> bool:
        """Whether a repository has a manifest, by a link of either kind; raises ToolFailed."""
        return any((self.root / path).is_file() for path in links.of_manifest(repository, digest))

    def tag(self, repository: str, name: str) -> str | None:
        """What a tag's link holds, or None where it is not there; raises ToolFailed."""
        path = self.root / links.of_tag(repository, name)
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ToolFailed(f"cannot read {path}: {error.strerror}") from None


@dataclass(frozen=True)
class Survey:
    """The proof of the manifests, and what dangles in production: how much, and the first names.

    `elsewhere` are layers with URLs that production does not store.
    """

    proof: ManifestProof
    elsewhere: frozenset[str]
    dangling: int
    dangling_names: tuple[str, ...]


@dataclass(frozen=True)
class Surveyor:
    """Asks the manifests; `directory` is the run's own, `memory` remembers what each of them needs."""

    directory: Path
    memory: Path
    read: Callable[[str], Needs]
    production: Production
    readers: int = 1

    def by_database(self, listed: Path) -> Survey:
        """A database has said which manifests there are, and which digests: ARTIFACTS and `listed`.

        Raises ToolFailed where the memory cannot be kept.
        """
        with ManifestCache(self.memory) as store:
            self._learn(store)
            return self._conclude(store, listed, ())

    def by_links(
        self, spool: LinkSpool, listed: Path, compare: Callable[[Callable[[str], bool]], T]
    ) -> tuple[T, Survey]:
        """The registry's own links have said so; raises ToolFailed as above.

        `compare` is given what says whether a digest, which was not captured, may be missing: production has
        no bytes of it, and no manifest needs them as a layer. So it is after a garbage collection, which
        leaves the links of layers. `listed` is written anew without these.
        """
        with ManifestCache(self.memory) as store:
            self._learn(store)
            absent: list[str] = []

            def excused(digest: str) -> bool:
                if self.production.size(digest) is not None or store.needs_blob(digest):
                    return False
                absent.append(digest)
                if len(absent) == _BATCH:
                    spool.images.add_absent(absent)
                    absent.clear()
                return True

            compared = compare(excused)
            spool.write_required(listed, absent)
            more = dangling.tags_and_manifests(spool.images, self.production)
            return compared, self._conclude(store, listed, more)

    def by_manifests(
        self, images: ImageSpool, listed: Path, compare: Callable[[ManifestCache], T]
    ) -> tuple[T, Survey]:
        """The manifests that are linked say it, and nothing else: what they need is written as `listed`.

        `compare` may ask for what it finds missing who needs it, and whether it is a child that production
        does not serve. Raises ToolFailed as above.
        """
        with ManifestCache(self.memory) as store:
            self._learn(store)
            elsewhere, count, names = self._dangling(
                store, dangling.tags_and_manifests(images, self.production)
            )
            digests.write(listed, digests.merged([images.manifests(), store.needed()]))
            proof = store.compare(
                digests.from_file(listed), lambda digest: self.production.size(digest) is not None
            )
            return compare(store), Survey(proof, elsewhere, count, names)

    def _learn(self, store: ManifestCache) -> None:
        store.learn(self.read, digests.from_file(self.directory / ARTIFACTS), readers=self.readers)

    def _conclude(self, store: ManifestCache, listed: Path, more: Iterable[Dangling]) -> Survey:
        elsewhere, count, names = self._dangling(store, more)
        proof = store.compare(
            digests.from_file(listed), lambda digest: self.production.size(digest) is not None
        )
        return Survey(proof, elsewhere, count, names)

    def _dangling(
        self, store: ManifestCache, more: Iterable[Dangling]
    ) -> tuple[frozenset[str], int, tuple[str, ...]]:
        """Write down what dangles; returns layers that are not stored here, how much it is, the first."""
        elsewhere: set[str] = set()

        def entries() -> Iterable[Dangling]:
            named = dangling.children_and_layers(store, self.directory / dangling.IMAGES, self.production)
            for entry in chain(named, more):
                if entry.kind == "layer":
                    elsewhere.add(entry.digest)
                elif entry.kind == "child":
                    store.excuse(entry.digest)
                yield entry

        count, names = dangling.write(self.directory / dangling.FILE_NAME, entries())
        return frozenset(elsewhere), count, names


def keep_images(directory: Path, images: Iterable[Image]) -> None:
    """Keep the images that a database knows of, (repository, digest) each, for the survey."""
    ImageSpool(directory / dangling.IMAGES).add_images(images)
