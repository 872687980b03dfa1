"""What a tag means in a recovery point: from the tree, or from the list of what Harbor's database had.

Harbor keeps its tags in its database alone from 2.15 on, and in the tree beside it before.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol, TypeVar

from drkit.errors import ToolFailed
from drkit.registry import image_list, links, storage
from drkit.registry.image_list import ImageList, Listed
from drkit.registry.selection import Selection
from drkit.registry.storage import REPOSITORIES

T = TypeVar("T")
log = logging.getLogger(__name__)

# A link holds 71 bytes; more of one is not read.
_LONGEST = 256


def begun(work: Callable[[], T]) -> Future[T]:
    """The result of work that another thread does meanwhile, which ends with drkit."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            log.error("%s", error)
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


class Names(Protocol):
    """The tags and repositories of a recovery point; every method may raise ToolFailed."""

    def digest(self, repository: str, tag: str) -> str | None:
        """What a tag means, or None where there is none of that name."""

    def tags(self, repository: str, after: str, most: int) -> list[str]:
        """The tags of a repository whose names sort behind `after`, sorted, up to `most`."""

    def repositories(self, after: str, most: int) -> list[str]:
        """The repositories whose names sort behind `after`, sorted, up to `most`."""

    def covered(self, selection: Selection) -> Iterator[Listed]:
        """All that the repositories have which a selection covers, sorted by repository."""


class TreeNames:
    """Those of a storage tree; each request looks for itself."""

    def __init__(self, root: Path, written: Future[None] | None = None) -> None:
        self._root = root
        self._written = written

    def _wait(self) -> None:
        """Wait until the tree is there; raises what went wrong with it."""
        if self._written is not None:
            self._written.result()

    def digest(self, repository: str, tag: str) -> str | None:
        """See Names."""
        self._wait()
        link = self._root / links.of_tag(repository, tag)
        if not link.is_file():
            return None
        try:
            with link.open("rb") as file:
                held = file.read(_LONGEST).decode("ascii", "replace").strip()
        except OSError as error:
            raise ToolFailed(f"cannot read the tag {repository}:{tag}: {error.strerror}") from None
        if not storage.is_digest(held):
            raise ToolFailed(f"the tag {repository}:{tag} holds no digest")
        return held

    def tags(self, repository: str, after: str, most: int) -> list[str]:
        """See Names."""
        self._wait()
        place = self._root / REPOSITORIES / repository / "_manifests/tags"
        return sorted(name for name in _listed(place) if name > after)[:most]

    def repositories(self, after: str, most: int) -> list[str]:
        """See Names; the whole tree is walked."""
        self._wait()
        return sorted(name for name in self._walk() if name > after)[:most]

    def covered(self, selection: Selection) -> Iterator[Listed]:
        """See Names: every tag, and for a digest every manifest."""
        self._wait()
        names = [selection.repositories] if selection.exact else sorted(self._walk())
        for repository in filter(selection.covers, names):
            place = self._root / REPOSITORIES / repository / "_manifests"
            if selection.digest is not None:
                digests = (f"sha256:{name}" for name in sorted(_listed(place / "revisions/sha256")))
                yield from (Listed(repository, "", digest) for digest in filter(storage.is_digest, digests))
            for tag in sorted(_listed(place / "tags")):
                if digest := self.digest(repository, tag):
                    yield image_list.by_tag(repository, tag, digest)

    def _walk(self) -> Iterator[str]:
        top = self._root / REPOSITORIES
        for directory, names, _files in os.walk(top):
            if "_manifests" in names:
                yield os.path.relpath(directory, top)
            names[:] = [name for name in names if not name.startswith("_")]


def _listed(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ToolFailed(f"cannot list {directory.name}: {error.strerror}") from None


class ListedNames:
    """Those of a point's list of images; each request looks into it."""

    def __init__(self, images: ImageList) -> None:
        self._images = images

    def digest(self, repository: str, tag: str) -> str | None:
        """See Names."""
        found = next(self._images.since(repository, tag), None)
        return found.digest if found and (found.repository, found.tag) == (repository, tag) else None

    def tags(self, repository: str, after: str, most: int) -> list[str]:
        """See Names."""
        # The next tag after it: no tag has a byte of zero in it.
        found = self._images.since(repository, f"{after}\0")
        ours = itertools.takewhile(lambda each: each.repository == repository, found)
        return [each.tag for each in itertools.islice(ours, most)]

    def repositories(self, after: str, most: int) -> list[str]:
        """See Names."""
        names: list[str] = []
        while len(names) < most and (found := self._images.repository_after(after)) is not None:
            names.append(found)
            after = found
        return names

    def covered(self, selection: Selection) -> Iterator[Listed]:
        """See Names."""
        if selection.exact:
            return self._images.of(selection.repositories)
        return (each for each in self._images.since("") if selection.covers(each.repository))
