"""Images, layers and configurations that a repository needs and has no link to: a registry answers 404.

Their bytes may be there all the same, as other repositories need them too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from drkit.blobs.dangling import ImageSpool, Production
from drkit.blobs.link_index import LinkIndex
from drkit.blobs.manifest_cache import ManifestCache
from drkit.tools.sorted_stream import SortedStream

# So many answers of the database are remembered: what images share is needed by many of them.
_REMEMBERED = 5_000


@dataclass(frozen=True)
class MissingLinks:
    """What the links of a registry lack; `images_file` is an ImageSpool's file, `memory` a ManifestCache's.

    Both streams are (repository, what is wrong). What looks wrong is looked at again: `has_image` says
    whether an image is still there.
    """

    production: Production
    index: LinkIndex
    images_file: Path
    memory: Path

    def images(self, has_image: Callable[[str, str], bool]) -> Iterator[tuple[str, str]]:
        """Images that a database knows."""
        linked = SortedStream(self.index.revisions(), lambda each: each)
        for repository, digest in ImageSpool(self.images_file, kept=True).images():
            if linked.at((repository, digest)) is not None:
                continue
            if has_image(repository, digest) and not self.production.linked(repository, digest):
                yield (
                    repository,
                    f"{repository}@{digest} is in the database, and its repository has no link to it",
                )

    def layers(self, has_image: Callable[[str, str], bool]) -> Iterator[tuple[str, str]]:
        """Layers and configurations, each once for a repository."""
        linked = SortedStream(self.index.layers(), lambda each: each)
        is_there = lru_cache(_REMEMBERED)(has_image)
        with ManifestCache(self.memory) as store:
            for repository, digest in store.layers_in(self.images_file):
                if linked.at((repository, digest)) is not None:
                    continue
                needing = store.images_with(repository, digest)
                image = next((each for each in needing if is_there(repository, each)), None)
                if image is not None and not self.production.linked(repository, digest):
                    yield (
                        repository,
                        f"{repository}@{image} needs {digest}, and its repository has no link to it",
                    )
