"""A run of units as a client of a cluster has it, in a process of its own.

python -m tests.dask_client SPEC: reads a file of JSON, prints one object.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drkit import config
from drkit.blobs.inventory import Entry
from drkit.blobs.opening import open_bucket
from drkit.blobs.units.executors import Spread
from drkit.blobs.units.sources import BucketSource, DirectorySource, Source
from drkit.blobs.units.unit import Wrong
from drkit.blobs.vault.reading import VaultReader
from drkit.errors import DrkitError
from drkit.model import BucketPlace
from drkit.progress import Meter, silent
from drkit.registry import storage
from tests import dask_work


def main() -> None:
    """Read all blobs that the file names, and tell which are wrong, by whom."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    settings = config.Cluster.model_validate_json(json.dumps(spec["cluster"]))
    found: dict[str, str] = {}
    read: list[str] = []

    def settle(entry: Entry, wrong: Wrong | None) -> None:
        read.append(entry.digest)
        if wrong is not None:
            found[entry.digest] = wrong.kind

    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=spec["scratch"]) as scratch:
        more = {"perform": getattr(dask_work, spec["work"])} if "work" in spec else {}
        spread = Spread(settings, Path(scratch), unit=spec.get("unit", 1 << 20), **more)
        source, entries = _opened(spec)
        try:
            spread.read(entries, source, settle, Meter(silent, "read", None))
            assert spread.shared is not None
            answer["shared"] = asdict(spread.shared)
        except DrkitError as error:
            answer["error"] = {"kind": error.kind, "message": error.message, "code": error.exit_code}
    sys.stdout.write(json.dumps({"wrong": found, "read": read, **answer}))


def _opened(spec: dict[str, Any]) -> tuple[Source, Iterator[Entry]]:
    if "root" in spec:
        root = Path(spec["root"])
        return DirectorySource(root), (Entry(digest, "", size) for digest, size in storage.stored_blobs(root))
    settings = config.S3.model_validate_json(json.dumps(spec["bucket"]))
    shelf = VaultReader(open_bucket(settings), BucketPlace(settings.bucket), original=True)
    blobs = (
        Entry(storage.digest_of_blob(f"/{each.key}") or "", each.key, each.size)
        for each in shelf.bucket.listed("docker/")
    )
    return BucketSource(settings, shelf, copies=True), blobs


if __name__ == "__main__":
    main()
