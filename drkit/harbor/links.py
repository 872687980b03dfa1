"""The links of a storage tree: tiny files that say which digest a repository has.

A link holds `sha256:<hex>` and no newline; a registry answers 500 where one is empty.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import ToolFailed
from drkit.harbor.storage import REPOSITORIES
from drkit.model import LinkProof

_LENGTH = len("sha256:") + 64
_HELD = re.compile(rb"sha256:([0-9a-f]{64})")
# Paths that end in the digest which the link must hold.
_NAMED = re.compile(r"/(?:_layers|_manifests/revisions|_manifests/tags/[^/]+/index)/sha256/([^/]+)/link$")
_CURRENT = re.compile(r"(?P<manifests>.*/_manifests)/tags/[^/]+/current/link$")
_NAMES = 20
_PAUSE_SECONDS = 0.05
_FRESH_SECONDS = 3.0


class Tally:
    """Counts links and remembers the first few bad ones; `look` goes by length, `read` by what is in them."""

    def __init__(self) -> None:
        self._links = 0
        self._bad = 0
        self._names: list[str] = []

    def look(self, path: str, size: int | None) -> bool:
        """A link of a listing: its path and how long it is; returns whether nothing is wrong with it."""
        self._links += 1
        sound = size == _LENGTH and _path_is_sound(path)
        if not sound:
            self._fault(path)
        return sound

    def read(self, root: Path, path: str) -> None:
        """A link on disk, by its path relative to the root; raises ToolFailed where it cannot be read."""
        self._links += 1
        try:
            with open(root / path, "rb") as file:  # noqa: PTH123 - there may be millions
                held = file.read(_LENGTH + 1)
        except OSError as error:
            raise ToolFailed(f"cannot read {path}: {error.strerror}") from None
        if not _agrees(root, path, held):
            self._fault(path)

    def proof(self) -> LinkProof:
        """What was found so far."""
        return LinkProof(self._links, self._bad, tuple(self._names))

    def _fault(self, path: str) -> None:
        self._bad += 1
        if len(self._names) < _NAMES:
            self._names.append(path)


def digest_in(path: str) -> str | None:
    """The digest that a link holds by its name, or None where the name does not tell: a tag's current one."""
    named = _NAMED.search(path)
    return f"sha256:{named[1]}" if named and _path_is_sound(path) else None


def is_damaged(root: Path, path: str) -> bool:
    """Whether a link on disk, by its path relative to the root, does not hold what it should.

    Registries write links in place: empty for a moment, at each push of what is there already (measured on
    docker-registry 2.8), or for seconds on a machine that has more to do. So one that has only just been
    written is looked at until it is older than that. One that is not there any more is not damaged.
    """
    end = time.monotonic() + _FRESH_SECONDS
    while True:
        try:
            with (root / path).open("rb") as file:
                if _agrees(root, path, file.read(_LENGTH + 1)):
                    return False
                age = time.time() - os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return False
        except OSError:
            return True
        # One from the future has been written by nobody just now.
        if not -1 < age < _FRESH_SECONDS or time.monotonic() > end:
            return True
        time.sleep(_PAUSE_SECONDS)


def paths(root: Path) -> Iterator[str]:
    """Every link of a tree, relative to its root, without uploads in flight."""
    for directory, directories, files in os.walk(root / REPOSITORIES):
        directories[:] = sorted(name for name in directories if name != "_uploads")
        if "link" in files:
            yield f"{os.path.relpath(directory, root)}/link"


def revisions(root: Path) -> Iterator[tuple[str, str]]:
    """(repository, digest) of every manifest that the tree itself says a repository has."""
    top = f"{REPOSITORIES}/"
    for path in paths(root):
        repository, found, rest = path.partition("/_manifests/revisions/sha256/")
        if found:
            yield repository.removeprefix(top), f"sha256:{rest.removesuffix('/link')}"


def _path_is_sound(path: str) -> bool:
    named = _NAMED.search(path)
    return named is None or re.fullmatch(r"[0-9a-f]{64}", named[1]) is not None


def _agrees(root: Path, path: str, held: bytes) -> bool:
    found = _HELD.fullmatch(held)
    if not found:
        return False
    digits = found[1].decode()
    named = _NAMED.search(path)
    if named:
        return digits == named[1]
    current = _CURRENT.search(path)
    # A tag points to a manifest that its repository has.
    return current is None or (root / f"{current['manifests']}/revisions/sha256/{digits}/link").is_file()
