"""A directory with an OCI image layout for each repository, as zot keeps its images.

<repository>/oci-layout
<repository>/index.json                      names the images: digests with tags, and without
<repository>/blobs/<algorithm>/<hex>         manifests, configurations and layers of this repository
<repository>/.uploads/...                    in flight, left out

A blob that several repositories have is one file with several names (hard links). What zot keeps beside the
repositories: cache.db, which it makes anew from them, and meta.db. No part of a repository's name begins with
a dot or an underscore (image-layout.md of the OCI image specification; zot's pkg/storage/imagestore).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drkit.errors import ToolFailed

INDEX, MARK = "index.json", "oci-layout"
# Users' API keys, bookmarks, counts of downloads; what it knows of images zot reads from the layouts.
METADATA = "meta.db"
# No index is longer: a million tags have so much.
LARGEST_INDEX = 512 << 20
_ALGORITHMS = ("sha256", "sha512")
_TAG = "org.opencontainers.image.ref.name"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_DIRECTORY = re.compile(_REPOSITORY)
_FILE = re.compile(
    rf"(?P<repository>{_REPOSITORY})/(?:(?P<name>{re.escape(INDEX)}|{MARK})"
    r"|blobs/(?P<algorithm>[a-z0-9]+)/(?P<digits>[0-9a-f]{32,128}))"
)


@dataclass(frozen=True)
class Named:
    """An entry of an index: a manifest by its digest, with its tag if it has one."""

    digest: str
    size: int
    tag: str = ""


@dataclass(frozen=True)
class File:
    """A file of a layout, by its path: an index or a mark by `name`, a blob by `digest`."""

    repository: str
    name: str = ""
    digest: str = ""


def parse(path: str) -> File | None:
    """The file of that path, relative to the root directory; None for what is of no layout."""
    found = _FILE.fullmatch(path)
    if found is None:
        return None
    if found["name"]:
        return File(found["repository"], found["name"])
    return File(found["repository"], digest=f"{found['algorithm']}:{found['digits']}")


def keeps(path: str) -> bool:
    """Whether a file of that path, relative to the root directory, is zot's metadata or in a repository."""
    return path == METADATA or may_hold(path.rpartition("/")[0])


def may_hold(path: str) -> bool:
    """Whether a directory of that path, relative to the root directory, may be one of a layout."""
    return _DIRECTORY.fullmatch(path) is not None


def blob_name(repository: str, digest: str) -> str:
    """Where a blob stands, relative to the root directory."""
    algorithm, _, digits = digest.partition(":")
    return f"{repository}/blobs/{algorithm}/{digits}"


def repositories(root: Path) -> Iterator[str]:
    """Every repository on disk; one that vanishes meanwhile is passed over."""
    waiting = [""]
    while waiting:
        here = waiting.pop()
        below, files = _entries(f"{root}/{here}" if here else str(root))
        if here and {INDEX, MARK} <= files:
            yield here
            # What is in there is no repository, for zot neither.
            below.discard("blobs")
        inner = (f"{here}/{name}" if here else name for name in sorted(below, reverse=True))
        waiting += filter(may_hold, inner)


def stored(root: Path, repository: str) -> Iterator[tuple[str, int]]:
    """Digest and size of every blob of a repository on disk."""
    for algorithm in sorted(_entries(f"{root}/{repository}/blobs")[0]):
        with os.scandir(f"{root}/{repository}/blobs/{algorithm}") as entries:
            for entry in entries:
                found = parse(f"{repository}/blobs/{algorithm}/{entry.name}")
                if found and entry.is_file(follow_symlinks=False):
                    yield found.digest, entry.stat(follow_symlinks=False).st_size


@dataclass(frozen=True)
class Strays:
    """What stands among layouts and is of none, relative to the root directory, in no order.

    `foreign` are directories that no repository can have. `broken` are repositories with blobs that are none
    to zot, each with what it lacks.
    """

    foreign: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]


def strays(root: Path) -> Strays:
    """Look at every directory below those of the root directory; what begins with a dot or _ is zot's own."""
    foreign: list[str] = []
    broken: list[tuple[str, str]] = []
    waiting = [name for name in _directories(str(root)) if may_hold(name)]
    while waiting:
        here = waiting.pop()
        if said := _lacks(f"{root}/{here}"):
            broken.append((here, said))
        for name in _directories(f"{root}/{here}"):
            path = f"{here}/{name}"
            if may_hold(path):
                waiting.append(path)
            elif not name.startswith((".", "_")):
                foreign.append(path)
    return Strays(tuple(sorted(foreign)), tuple(sorted(broken)))


def _lacks(directory: str) -> str:
    """What keeps a directory with blobs from being a repository; empty where nothing does, or it has none."""
    if not any(_holds_any(f"{directory}/blobs/{algorithm}") for algorithm in _ALGORITHMS):
        return ""
    for name in (INDEX, MARK):
        path = Path(directory, name)
        if path.is_dir():
            return f"its {name} is a directory"
        if not path.exists():
            return f"it has no {name}"
    return ""


def _holds_any(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is not None
    except (FileNotFoundError, NotADirectoryError):
        return False


def _directories(directory: str) -> Iterator[str]:
    """The names of directories; one that vanishes meanwhile has none."""
    try:
        with os.scandir(directory) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        pass


def index(data: bytes) -> tuple[Named, ...]:
    """The entries of an index.json; raises ToolFailed for bytes that are none."""
    try:
        document = json.loads(data)
        return tuple(_named(each) for each in document.get("manifests") or ())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ToolFailed("it is no index of images") from None


def index_of(entries: Iterable[Named]) -> bytes:
    """The bytes of an index.json with these entries."""
    manifests = []
    for each in entries:
        notes = {"annotations": {_TAG: each.tag}} if each.tag else {}
        manifests.append({"digest": each.digest, "size": each.size, **notes})
    return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()


def _named(entry: dict[str, object]) -> Named:
    digest, size, notes = entry["digest"], entry["size"], entry.get("annotations") or {}
    tag = notes.get(_TAG, "") if isinstance(notes, dict) else ""
    if not isinstance(digest, str) or not isinstance(size, int) or not isinstance(tag, str):
        raise TypeError(digest)
    return Named(digest, size, tag)


def _entries(directory: str) -> tuple[set[str], set[str]]:
    """The names of directories and of files."""
    directories: set[str] = set()
    files: set[str] = set()
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                (directories if entry.is_dir(follow_symlinks=False) else files).add(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        pass
    return directories, files
