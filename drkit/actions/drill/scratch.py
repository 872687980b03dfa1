"""Whether the sandbox's disk can hold what a drill restores: before the start, not after an hour."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import DrillError, NoSpace, ToolMissing, failure_of
from drkit.model import Level, PointManifest
from drkit.reports.units import size
from drkit.tools.fuse import mounting, serving

# A link takes a block of the disk, and its directory another.
_LINK = 8 << 10
# PostgreSQL with nothing in it: its catalog, and the write-ahead log that it makes at once.
_EMPTY = 64 << 20


def needed(manifest: PointManifest, level: Level) -> int:
    """How many bytes a drill takes at least: each dump and a database of that size, and all images if full.

    A vault's images have links beside them, each a file of its own. A database is larger than its compressed
    dump, nobody knows by how much; of a quick drill's sample nobody knows before the database is there.
    """
    dumps = sum(part.bytes for part in manifest.parts if part.kind == "database")
    least = 2 * dumps + _EMPTY * len(manifest.databases)
    if level == "quick" or manifest.images is None:
        return least
    return least + manifest.images.bytes + _links(manifest)


def needed_to_stream(manifest: PointManifest) -> int:
    """How many bytes a full drill takes at least whose images are on no disk: links of a vault's are."""
    return needed(manifest, "quick") + _links(manifest)


def _links(manifest: PointManifest) -> int:
    links = manifest.closure.links if manifest.closure else None
    return _LINK * links.links if links and manifest.bucket else 0


def must_stream(directory: Path, manifest: PointManifest, level: Level) -> bool:
    """Whether the disk of the directory, which is there, has room for all but a full drill's images.

    Then they are served from the repository or the vault and read as a stream. Raises DrillError where there
    is less room than that, or where images cannot be streamed: they are OCI layouts, or there is no FUSE.
    """
    least, free = needed(manifest, level), shutil.disk_usage(directory).free
    if free >= least:
        return False
    images = level == "full" and manifest.images is not None
    why = ""
    if images and free >= needed(manifest, "quick"):
        why, streaming = _why_not(manifest), needed_to_stream(manifest)
        if not why and free >= streaming:
            return True
        why = why or f"; {size(streaming)} would do to read the images as a stream"
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
    if manifest.storage == "oci":
        return "; OCI layouts cannot be read as a stream instead"
    try:
        if manifest.bucket is None:
            mounting.look()
        else:
            serving.look()
    except ToolMissing as error:
        return f"; blobs cannot be read as a stream instead: {error.message}"
    return ""
