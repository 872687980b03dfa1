"""Every link of a storage tree, told apart by what it is for; a registry has several for each image.

repositories/<name>/_layers/<algorithm>/<hex>/link
repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link
repositories/<name>/_manifests/tags/<tag>/current/link
repositories/<name>/_manifests/tags/<tag>/index/<algorithm>/<hex>/link
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from drkit.registry.storage import REPOSITORIES, in_upload

Kind = Literal["layer", "revision", "tag", "index"]
LENGTH = len("sha256:") + 64

_LINK = re.compile(
    rf"{REPOSITORIES}/(?P<repository>.+?)/(?:"
    r"_layers/(?P<layer>[^/]+/[^/]+)"
    r"|_manifests/revisions/(?P<revision>[^/]+/[^/]+)"
    r"|_manifests/tags/(?P<tag>[^/]+)/(?:current|index/(?P<index>[^/]+/[^/]+))"
    r")/link$"
)


class LinkFile(NamedTuple):
    """A link: its path relative to the root, the repository that has it, and how long it is.

    `digest` is what its path tells, empty for a tag's current one; `tag` is a tag's name.
    """

    path: str
    repository: str
    kind: Kind
    digest: str
    tag: str
    size: int

    @property
    def project(self) -> str:
        """See `project_in`."""
        return project_in(self.repository)


def project_in(repository: str) -> str:
    """Harbor's project: the first part of a repository's name."""
    return repository.partition("/")[0]


def parse(path: str, size: int) -> LinkFile | None:
    """The link of that path, relative to the root; None for any other file."""
    found = _LINK.match(path)
    if found is None or in_upload(path):
        return None
    named = found["layer"] or found["revision"] or found["index"] or ""
    kind: Kind = "layer" if found["layer"] else "revision" if found["revision"] else "tag"
    if found["index"]:
        kind = "index"
    return LinkFile(path, found["repository"], kind, named.replace("/", ":"), found["tag"] or "", size)


def walk(root: Path) -> Iterator[LinkFile]:
    """Every link on disk, without uploads in flight; one that vanishes meanwhile is passed over."""
    top = os.fspath(root / REPOSITORIES)
    waiting = [""]
    while waiting:
        repository = waiting.pop()
        below = sorted(_names(f"{top}/{repository}" if repository else top), reverse=True)
        waiting += (f"{repository}/{name}" if repository else name for name in below if name[0] != "_")
        if "_layers" in below:
            yield from _digests(top, repository, "_layers", "layer")
        if "_manifests" in below:
            yield from _digests(top, repository, "_manifests/revisions", "revision")
            for tag in _names(f"{top}/{repository}/_manifests/tags"):
                inner = f"_manifests/tags/{tag}"
                path = f"{repository}/{inner}/current/link"
                size = _size(f"{top}/{path}")
                if size is not None:
                    yield LinkFile(f"{REPOSITORIES}/{path}", repository, "tag", "", tag, size)
                yield from _digests(top, repository, f"{inner}/index", "index", tag)


def _digests(top: str, repository: str, inner: str, kind: Kind, tag: str = "") -> Iterator[LinkFile]:
    for algorithm in _names(f"{top}/{repository}/{inner}"):
        for digits in _names(f"{top}/{repository}/{inner}/{algorithm}"):
            path = f"{repository}/{inner}/{algorithm}/{digits}/link"
            size = _size(f"{top}/{path}")
            if size is not None:
                name = f"{REPOSITORIES}/{path}"
                yield LinkFile(name, repository, kind, f"{algorithm}:{digits}", tag, size)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - there may be millions
    except (FileNotFoundError, NotADirectoryError):
        return None


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names alone: a million Paths take their time
    except (FileNotFoundError, NotADirectoryError):
        return []
