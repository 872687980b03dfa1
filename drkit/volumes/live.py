"""No freezing at all: the directory is read while the registry writes to it.

That is sound for a registry's blobs as long as the database is held still first and no garbage collection
runs: blobs are only ever added, so all that the database refers to is there (HARBOR: core writes storage
first, the database second).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def frozen(path: Path) -> Iterator[Path]:
    """The directory itself."""
    yield path
