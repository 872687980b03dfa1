"""The links of a storage tree: tiny files that say which digest a repository has.

A link holds `sha256:<hex>` and no newline; a registry answers 500 where one is empty.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from drkit.errors import ToolFailed
from drkit.model import LinkProof
from drkit.registry.storage import REPOSITORIES, Tag, in_upload
from drkit.tools.tally import Tally

_LENGTH = len("sha256:") + 64
_HELD = re.compile(rb"sha256:([0-9a-f]{64})")
# Paths that end in the digest which the link must hold.
_NAMED = re.compile(r"/(?:_layers|_manifests/revisions|_manifests/tags/[^/]+/index)/sha256/([^/]+)/link$")
_MANIFESTS = rf"(?P<manifests>{REPOSITORIES}/(?P<repository>.+?)/_manifests)"
_CURRENT = re.compile(rf"{_MANIFESTS}/tags/(?P<tag>[^/]+)/current/link$")
_REVISION = re.compile(rf"{_MANIFESTS}/revisions/sha256/(?P<digits>[0-9a-f]{{64}})/link$")
_PAUSE_SECONDS = 0.05
_FRESH_SECONDS = 3.0


class LinkCount:
    """Counts links and remembers the first few bad ones; `look` goes by length, `read` by what is in them."""

    def __init__(self) -> None:
        self._links = 0
        self._bad = Tally[str]()

    def look(self, path: str, size: int | None) -> bool:
        """A link of a listing: its path and how long it is; returns whether nothing is wrong with it."""
        self._links += 1
        sound = size == _LENGTH and _path_is_sound(path)
        if not sound:
            self._bad.add(path)
        return sound

    def read(self, root: Path, path: str, excused: Callable[[Tag], bool] = lambda _tag: False) -> None:
        """A link on disk, by its path relative to the root; raises ToolFailed where it cannot be read.

        A tag whose manifest its repository does not have is bad unless it is `excused`.
        """
        self._links += 1
        try:
            with open(f"{root}/{path}", "rb", buffering=0) as file:  # noqa: PTH123 - there may be millions
                held = file.read(_LENGTH + 1)
        except OSError as error:
            raise ToolFailed(f"cannot read {path}: {error.strerror}") from None
        if _agrees(root, path, held):
            return
        tag = tag_in(path)
        if tag is None or not _HELD.fullmatch(held) or not excused(Tag(*tag, held.decode())):
            self._bad.add(path)

    def proof(self) -> LinkProof:
        """What was found so far."""
        return LinkProof(self._links, self._bad.count, self._bad.first)


def holds(path: str, held: bytes) -> bool:
    """Whether what a link holds is a digest, and the one that its path tells where that tells any."""
    found = _HELD.fullmatch(held)
    named = _NAMED.search(path)
    return found is not None and (named is None or found[1].decode() == named[1])


def digest_in(path: str) -> str | None:
    """The digest that a link holds by its name, or None where the name does not tell: a tag's current one."""
    named = _NAMED.search(path)
    return f"sha256:{named[1]}" if named and _path_is_sound(path) else None


def revision_in(path: str) -> tuple[str, str] | None:
    """(repository, digest) of a revision's link, or None for any other path."""
    found = _REVISION.match(path)
    return (found["repository"], f"sha256:{found['digits']}") if found else None


def tag_in(path: str) -> tuple[str, str] | None:
    """(repository, name) of a tag's current link, or None for any other path."""
    found = _CURRENT.match(path)
    return (found["repository"], found["tag"]) if found else None


def of_manifest(repository: str, digest: str) -> tuple[str, str]:
    """The links by which a repository may have a manifest, relative to the root: a revision's, a layer's.

    distribution looks for either (linkedBlobStore: manifestRevisionLinkPath, blobLinkPath).
    """
    algorithm, _, digits = digest.partition(":")
    base, rest = f"{REPOSITORIES}/{repository}", f"{algorithm}/{digits}/link"
    return f"{base}/_manifests/revisions/{rest}", f"{base}/_layers/{rest}"


def of_tag(repository: str, name: str) -> str:
    """The link that says which manifest a tag is, relative to the root."""
    return f"{REPOSITORIES}/{repository}/_manifests/tags/{name}/current/link"


def stored_digest(root: Path, repository: str, digest: str) -> str:
    """By which digest a repository's blob is stored: its SHA-256, whatever algorithm a manifest uses.

    A registry links the blob by both digests, and either link holds the SHA-256. Where there is no such link
    the digest itself comes back.
    """
    algorithm, _, digits = digest.partition(":")
    if algorithm == "sha256":
        return digest
    try:
        with (root / REPOSITORIES / repository / "_layers" / algorithm / digits / "link").open("rb") as file:
            held = file.read(_LENGTH + 1)
    except OSError:
        return digest
    return held.decode() if _HELD.fullmatch(held) else digest


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
    """Every link of a tree, relative to its root, without uploads in flight; raises ToolFailed."""
    # Strings and no Paths: there may be millions, and half of the time would go there.
    left = [str(REPOSITORIES)]
    while left:
        here = left.pop()
        is_link, below = _inside(root, here)
        if is_link:
            yield f"{here}/link"
        left += (f"{here}/{name}" for name in sorted(below, reverse=True))


def _inside(root: Path, here: str) -> tuple[bool, list[str]]:
    """Whether a directory of the tree has a link in it, and which directories; one that has gone has none."""
    is_link, below = False, []
    try:
        with os.scandir(f"{root}/{here}") as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "_uploads" or not in_upload(f"{here}/{entry.name}"):
                        below.append(entry.name)
                elif entry.name == "link":
                    is_link = True
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise ToolFailed(f"cannot read {here}: {error.strerror}") from None
    return is_link, below


def revisions(root: Path) -> Iterator[tuple[str, str]]:
    """(repository, digest) of every manifest that the tree itself says a repository has."""
    for path in paths(root):
        found = revision_in(path)
        if found:
            yield found


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
    tag = tag_in(path)
    # A tag points to a manifest that its repository has.
    return tag is None or os.path.isfile(f"{root}/{of_manifest(tag[0], f'sha256:{digits}')[0]}")  # noqa: PTH113
