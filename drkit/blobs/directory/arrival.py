"""Hashing blobs while others are still being written: each is read once, while it is still in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from drkit.blobs.directory.mending import hashes_right
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.tools.parallel import for_each

_WORKERS = min(4, os.cpu_count() or 1)


def hash_arriving(paths: Generator[str, None, None], root: Path, ledger: Ledger) -> None:
    """Confirm in the ledger every blob whose bytes are right, of files that are whole now.

    `paths` are below the parent of the registry's `root` (`/registry/docker/...`). What is wrong or cannot be
    read is left to the check, which looks at every blob that is not confirmed. Raises what `paths` raises.
    """
    top = f"/{root.name}/{storage.BLOBS}/sha256/"

    def look(path: str) -> None:
        digest = storage.digest_of_blob(path)
        if digest is None or not storage.is_blob_below(top, path):
            return
        if hashes_right(storage.blob_path(root, digest), digest):
            ledger.confirm(digest)

    with contextlib.closing(paths):
        for_each(paths, look, _WORKERS)
