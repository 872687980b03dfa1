"""Whether the sandbox's disk can hold what a drill restores: before the start, not after an hour."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import DrillError, NoSpace, ToolMissing, failure_of
from drkit.model import Level, PointManifest
from drkit.reports.units import size
from drkit.tools.restic import mount

# PostgreSQL with nothing in it: its catalog, and the write-ahead log that it makes at once.
_EMPTY = 64 << 20
# What a link takes of a disk at least, and of an archive of links.
_NAME = 4 << 10
_ARCHIVED = 1 << 10


def needed(manifest: PointManifest, level: Level) -> int:
    """How many bytes a drill takes at least: each dump and a database of that size, and all images if full.

    A database is larger than its compressed dump, nobody knows by how much; of a quick drill's sample nobody
    knows before the database is there.
    """
    dumps = sum(part.bytes for part in manifest.parts if part.kind == "database")
    images = manifest.images.bytes if level == "full" and manifest.images else 0
    return 2 * dumps + _EMPTY * len(manifest.databases) + images


def streaming(manifest: PointManifest) -> int:
    """How many bytes a full drill takes at least that reads images as a stream.

    Of a bucket's point that is, beside the databases, a file for each link; those for blobs are fewer.
    """
    least, links = needed(manifest, "quick"), manifest.part("links")
    if manifest.bucket is None or links is None:
        return least
    return least + _NAME * (links.bytes // _ARCHIVED)


def must_stream(directory: Path, manifest: PointManifest, level: Level) -> bool:
    """Whether the disk of the directory, which is there, has room for all but a full drill's images.

    Then they are served from the repository, or from the vault, and read as a stream. Raises DrillError where
    there is less room than that takes, or where images cannot be streamed: they are OCI layouts, or there is
    no FUSE to read a repository by.
    """
    least, free = needed(manifest, level), shutil.disk_usage(directory).free
    if free >= least:
        return False
    images = level == "full" and manifest.images is not None
    streams = images and free >= streaming(manifest)
    why = _why_not(manifest) if streams else ""
    if streams and not why:
        return True
    quick = ", or run `drkit drill --level quick`" if images else ""
    raise DrillError(
        f"the sandbox needs {size(least)} in {directory} at least, and {size(free)} are free{why}",
        hint=f"make room, or set directory in [drill] to a larger disk{quick}",
    )


@contextlib.contextmanager
def room(directory: Path) -> Iterator[None]:
    """Where a drill begins on a disk that is full, it is one that could not run: raises DrillError."""
    try:
        yield
    except (NoSpace, OSError) as error:
        full = failure_of(error)
        if not isinstance(full, NoSpace):
            raise
        raise DrillError(
            f"the drill cannot begin: no space is left for {full.path or directory}",
            hint="make room, or set directory in [drill] to a larger disk",
        ) from None


def _why_not(manifest: PointManifest) -> str:
    if manifest.bucket is not None:
        return ""
    if manifest.storage == "oci":
        return "; OCI layouts cannot be read as a stream instead"
    try:
        mount.look()
    except ToolMissing as error:
        return f"; blobs cannot be read as a stream instead: {error.message}"
    return ""
