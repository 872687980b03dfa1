"""Whether the sandbox's disk can hold what a drill restores: before the start, not after an hour."""

from __future__ import annotations

import shutil
from pathlib import Path

from drkit.errors import DrillError
from drkit.model import Level, PointManifest
from drkit.reports.units import size


def needed(manifest: PointManifest, level: Level) -> int:
    """How many bytes a drill takes at least: each dump and a database of that size, and all images if full.

    A database is larger than its compressed dump, nobody knows by how much; of a quick drill's sample nobody
    knows before the database is there.
    """
    dumps = sum(part.bytes for part in manifest.parts if part.kind == "database")
    images = manifest.images.bytes if level == "full" and manifest.images else 0
    return 2 * dumps + images


def refuse_small(directory: Path, manifest: PointManifest, level: Level) -> None:
    """Raise DrillError where the disk of the directory, which is there, has less room than that."""
    least, free = needed(manifest, level), shutil.disk_usage(directory).free
    if free < least:
        quick = ", or run `drkit drill --level quick`" if level == "full" and manifest.images else ""
        raise DrillError(
            f"the sandbox needs {size(least)} in {directory} at least, and {size(free)} are free",
            hint=f"make room, or set directory in [drill] to a larger disk{quick}",
        )
