"""The registry's storage tree (distribution's layout) below its root directory.

docker/registry/v2/blobs/sha256/<2 hex>/<hex>/data
docker/registry/v2/repositories/<name>/_layers/sha256/<hex>/link
docker/registry/v2/repositories/<name>/_manifests/revisions/sha256/<hex>/link
docker/registry/v2/repositories/<name>/_uploads/...          in flight, left out
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from drkit.harbor.tables import Tag

TREE = PurePosixPath("docker/registry/v2")
BLOBS = TREE / "blobs"
REPOSITORIES = TREE / "repositories"
UPLOADS_PATTERN = f"{REPOSITORIES}/**/_uploads"

_BLOB_LENGTH = len("/blobs/sha256/ab//data") + 64
_BLOB = re.compile(r"/blobs/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})/data$")
_PREFIX = re.compile(r"[0-9a-f]{2}")
_DIGITS = re.compile(r"[0-9a-f]{64}")
_LINK = re.compile(r"/(?:_layers|_manifests/revisions)/sha256/([0-9a-f]{64})/link$")


def blob_path(root: Path, digest: str) -> Path:
    """Where a blob's bytes stand below the registry's root directory."""
    return root / blob_name(digest)


def blob_name(digest: str) -> PurePosixPath:
    """A blob's path relative to the registry's root directory."""
    digits = digest.removeprefix("sha256:")
    return BLOBS / "sha256" / digits[:2] / digits / "data"


def digest_of_blob(path: str) -> str | None:
    """The digest that a blob's path promises, or None for any other path."""
    # Only the end counts: to search for it from the beginning on takes three times as long.
    found = _BLOB.match(path, max(0, len(path) - _BLOB_LENGTH))
    return f"sha256:{found[2]}" if found else None


def digest_of_link(path: str) -> str | None:
    """The digest that a layer or revision link refers to, or None for any other path."""
    found = _LINK.search(path)
    return f"sha256:{found[1]}" if found else None


def link_in_trunk(root: Path) -> Path | None:
    """The first of the tree's own directories that is a symbolic link, from the root on.

    Whatever copies links as links has nothing of what is behind one.
    """
    trunk = (
        root,
        *(root / part for part in (*reversed(TREE.parents), TREE, BLOBS, BLOBS / "sha256", REPOSITORIES)),
    )
    return next((path for path in trunk if path.is_symlink()), None)


def stored_blobs(root: Path) -> Iterator[tuple[str, int]]:
    """Digest and size of every blob on disk, sorted by digest; memory for 1/256 of them at a time.

    What else somebody has put there is no blob: a registry does not serve it.
    """
    top = root / BLOBS / "sha256"
    for prefix in sorted(filter(_PREFIX.fullmatch, _names(top))):
        directory = f"{top}/{prefix}"
        for name in sorted(_names(directory)):
            if not name.startswith(prefix) or not _DIGITS.fullmatch(name):
                continue
            try:
                size = os.stat(f"{directory}/{name}/data").st_size  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                continue
            yield f"sha256:{name}", size


def _names(directory: Path | str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names alone: a million Paths take their time
    except (FileNotFoundError, NotADirectoryError):
        return []


def tags(root: Path) -> Iterator[Tag]:
    """Every tag that the tree itself knows; Harbor from 2.15 on keeps them in its database alone."""
    top = root / REPOSITORIES
    for directory, names, _files in os.walk(top):
        if os.path.basename(directory) == "_manifests":  # noqa: PTH119 - there may be millions
            names.clear()
            yield from _tags_in(Path(directory), os.path.relpath(os.path.dirname(directory), top))  # noqa: PTH120
        # Links of layers are many more than tags, and among them there is none.
        names[:] = sorted(name for name in names if name not in ("_layers", "_uploads"))


def _tags_in(manifests: Path, repository: str) -> Iterator[Tag]:
    for name in sorted(_names(manifests / "tags")):
        link = manifests / "tags" / name / "current" / "link"
        try:
            held = link.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield Tag(repository, name, held.decode("utf-8", "replace").strip())
