"""The registry's storage tree (distribution's layout) below its root directory.

docker/registry/v2/blobs/sha256/<2 hex>/<hex>/data
docker/registry/v2/repositories/<name>/_layers/sha256/<hex>/link
docker/registry/v2/repositories/<name>/_manifests/revisions/sha256/<hex>/link
docker/registry/v2/repositories/<name>/_uploads/...          in flight, left out

No part of a repository's name begins with `_`, but a tag may be called anything, `_uploads` as well
(distribution/reference: the grammar of names).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drkit.tools.restic import patterns

TREE = PurePosixPath("docker/registry/v2")
BLOBS = TREE / "blobs"
_SHA256 = f"{BLOBS}/sha256"
REPOSITORIES = TREE / "repositories"
_TRUNK = frozenset(map(str, (*TREE.parents, TREE, BLOBS, REPOSITORIES)))
_BRANCHES = (f"{BLOBS}/", f"{REPOSITORIES}/")

# Blobs of at most so many bytes are read into memory.
SMALL = 4 << 20
_BLOB_LENGTH = len("/blobs/sha256/ab//data") + 64
_BELOW_TOP = len("ab//data") + 64
_BLOB = re.compile(r"/blobs/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})/data$")
_PREFIX = re.compile(r"[0-9a-f]{2}")
_DIGITS = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LINK = re.compile(r"/(?:_layers|_manifests/revisions)/sha256/([0-9a-f]{64})/link$")


@dataclass(frozen=True)
class Tag:
    """A tag and what it points to; `repository` is `project/name`.

    `proxy` says that its project is a proxy cache, which may not have fetched every layer.
    """

    repository: str
    name: str
    digest: str
    proxy: bool = False


def is_digest(text: str) -> bool:
    """Whether it is a digest by SHA-256, as blobs are named by."""
    return _DIGEST.fullmatch(text) is not None


def blob_path(root: Path, digest: str) -> Path:
    """Where a blob's bytes stand below the registry's root directory."""
    return Path(f"{root}/{_blob_name(digest)}")


def read_small(root: Path, digest: str) -> bytes | None:
    """A small blob of the tree; None where it is not there, is larger than SMALL, or holds other bytes."""
    path = blob_path(root, digest)
    try:
        if path.stat().st_size > SMALL:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data if f"sha256:{hashlib.sha256(data).hexdigest()}" == digest else None


def blob_name(digest: str) -> PurePosixPath:
    """A blob's path relative to the registry's root directory."""
    return PurePosixPath(_blob_name(digest))


def _blob_name(digest: str) -> str:
    # A string, for a path that is put together of five others takes five times as long.
    digits = digest.removeprefix("sha256:")
    return f"{_SHA256}/{digits[:2]}/{digits}/data"


def digest_of_blob(path: str) -> str | None:
    """The digest that a blob's path promises, or None for any other path."""
    # Only the end counts: to search for it from the beginning on takes three times as long.
    found = _BLOB.match(path, max(0, len(path) - _BLOB_LENGTH))
    return f"sha256:{found[2]}" if found else None


def is_blob_below(top: str, path: str) -> bool:
    """Whether a path is that of a blob directly below `top` (`.../blobs/sha256/`), in no tree within it."""
    digest = digest_of_blob(path)
    return digest is not None and len(path) == len(top) + _BELOW_TOP and path.startswith(top)


def digest_of_link(path: str) -> str | None:
    """The digest that a layer or revision link refers to, or None for any other path."""
    found = _LINK.search(path)
    return f"sha256:{found[1]}" if found else None


def uploads_patterns(root: Path) -> tuple[str, str]:
    """What restic is to leave out; the second takes back what the first says of tags with that name."""
    top = patterns.literal(root / REPOSITORIES)
    return f"{top}/**/_uploads", f"!{top}/**/_manifests/tags/_uploads"


def in_upload(path: str) -> bool:
    """Whether a path of the tree is that of an upload in flight, or of something in it."""
    parts = path.split("/")
    return "_uploads" in parts and "_manifests" not in parts[: parts.index("_uploads")]


def special_in_trunk(root: Path) -> Path | None:
    """The first entry of the tree's own top directories that is neither a file nor a directory.

    From the root down to what is in `blobs`. Whatever copies links as links has nothing of what is behind
    one.
    """
    trunk = [root, *(root / part for part in (*reversed(TREE.parents), TREE))]
    for directory in (root / TREE, root / BLOBS):
        trunk += [directory / name for name in sorted(_names(directory))]
    return next((path for path in trunk if not _is_plain(path)), None)


def _is_plain(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)


def may_hold(name: str) -> bool:
    """Whether a registry keeps a directory of that name, relative to its root directory."""
    return name in _TRUNK or is_inside(name)


def is_inside(name: str) -> bool:
    """Whether a name, relative to the root directory, is that of something among blobs or repositories."""
    return name.startswith(_BRANCHES)


def beside_tree(root: Path) -> list[str]:
    """What stands in the registry's root directory and is no part of a registry, by name, sorted."""
    return sorted(name for name in _names(root) if name != TREE.parts[0])


def foreign_in_tree(root: Path) -> list[str]:
    """The same of the tree's own directory, which has blobs and repositories and nothing else."""
    return sorted(name for name in _names(root / TREE) if name not in (BLOBS.name, REPOSITORIES.name))


def stored_blobs(root: Path) -> Iterator[tuple[str, int]]:
    """Digest and size of every blob on disk, sorted by digest; memory for 1/256 of them at a time.

    What else somebody has put there is no blob: a registry does not serve it.
    """
    for digest, status in stored_files(root):
        yield digest, status.st_size


def stored_files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The same with all that the file system says of each file."""
    top = root / BLOBS / "sha256"
    for prefix in sorted(filter(_PREFIX.fullmatch, _names(top))):
        directory = f"{top}/{prefix}"
        for name in sorted(_names(directory)):
            if not name.startswith(prefix) or not _DIGITS.fullmatch(name):
                continue
            try:
                status = os.stat(f"{directory}/{name}/data")  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                continue
            yield f"sha256:{name}", status


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


def make_directory(root: Path, name: str) -> None:
    """Make a directory below `root` with all its parents there, as a registry makes them (0755)."""
    missing = []
    while name and not os.path.isdir(f"{root}/{name}"):  # noqa: PTH112 - there may be millions
        missing.append(name)
        name = name.rpartition("/")[0]
    for each in reversed(missing):
        try:
            os.mkdir(f"{root}/{each}")  # noqa: PTH102
        except FileExistsError:
            # Another thread was quicker.
            continue
        os.chmod(f"{root}/{each}", 0o755)  # noqa: PTH101, S103 - whatever the umask is
