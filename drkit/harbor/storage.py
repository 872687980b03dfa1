"""The registry's storage tree (distribution's layout) below its root directory.

docker/registry/v2/blobs/sha256/<2 hex>/<hex>/data
docker/registry/v2/repositories/<name>/_layers/sha256/<hex>/link
docker/registry/v2/repositories/<name>/_manifests/revisions/sha256/<hex>/link
docker/registry/v2/repositories/<name>/_uploads/...          in flight, left out
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from drkit.harbor.tables import Tag
from drkit.model import Closure

TREE = PurePosixPath("docker/registry/v2")
BLOBS = TREE / "blobs"
REPOSITORIES = TREE / "repositories"
UPLOADS_PATTERN = f"{REPOSITORIES}/**/_uploads"

_BLOB = re.compile(r"/blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})/data$")
_LINK = re.compile(r"/(?:_layers|_manifests/revisions)/sha256/([0-9a-f]{64})/link$")
_NAMES = 20


def blob_path(root: Path, digest: str) -> Path:
    """Where a blob's bytes stand below the registry's root directory."""
    return root / blob_name(digest)


def blob_name(digest: str) -> PurePosixPath:
    """A blob's path relative to the registry's root directory."""
    digits = digest.removeprefix("sha256:")
    return BLOBS / "sha256" / digits[:2] / digits / "data"


def digest_of_blob(path: str) -> str | None:
    """The digest that a blob's path promises, or None for any other path."""
    found = _BLOB.search(path)
    return f"sha256:{found[1]}" if found else None


def digest_of_link(path: str) -> str | None:
    """The digest that a layer or revision link refers to, or None for any other path."""
    found = _LINK.search(path)
    return f"sha256:{found[1]}" if found else None


def links(root: Path) -> Iterator[Path]:
    """Every layer and revision link of every repository, a directory at a time: memory stays flat."""
    for directory, names, files in os.walk(root / REPOSITORIES):
        names[:] = sorted(name for name in names if name != "_uploads")
        path = f"{directory}/link"
        if "link" in files and digest_of_link(path):
            yield Path(path)


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
    """Digest and size of every blob on disk, sorted by digest; memory for 1/256 of them at a time."""
    top = root / BLOBS / "sha256"
    if not top.is_dir():
        return
    for prefix in sorted(top.iterdir()):
        for blob in sorted(prefix.iterdir()):
            try:
                size = (blob / "data").stat().st_size
            except FileNotFoundError:
                continue
            yield f"sha256:{blob.name}", size


def tags(root: Path) -> Iterator[Tag]:
    """Every tag that the tree itself knows; Harbor from 2.15 on keeps them in its database alone."""
    top = root / REPOSITORIES
    for link in sorted(top.glob("**/_manifests/tags/*/current/link")):
        repository = link.parents[4].relative_to(top)
        yield Tag(str(repository), link.parents[1].name, link.read_text(encoding="utf-8").strip())


def closure(
    referenced: Iterable[tuple[str, int | None]],
    present: Iterable[tuple[str, int]],
    fault: Callable[[str], None] = lambda _digest: None,
) -> Closure:
    """Compare two streams sorted by digest in one pass; `fault` is told of each missing or wrong-sized one.

    A size of None is one that the database does not know, and so cannot be wrong.
    """
    counts = dict.fromkeys(("referenced", "present", "missing", "size_mismatch", "unreferenced"), 0)
    names: dict[str, list[str]] = {"missing": [], "size_mismatch": []}
    stored = iter(present)
    blob = next(stored, None)
    for digest, size in referenced:
        counts["referenced"] += 1
        while blob is not None and blob[0] < digest:
            counts["unreferenced"] += 1
            blob = next(stored, None)
        here = blob is not None and blob[0] == digest
        fine = here and (size is None or (blob is not None and blob[1] == size))
        counts["present"] += here
        if not fine:
            kind = "size_mismatch" if here else "missing"
            counts[kind] += 1
            names[kind] += [digest] if len(names[kind]) < _NAMES else []
            fault(digest)
        if here:
            blob = next(stored, None)
    while blob is not None:
        counts["unreferenced"] += 1
        blob = next(stored, None)
    return Closure(
        **counts, missing_names=tuple(names["missing"]), mismatch_names=tuple(names["size_mismatch"])
    )
