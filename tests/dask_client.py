"""A run of units as a client of a cluster has it, in a process of its own.

python -m tests.dask_client SPEC: reads a file of JSON, prints one object.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from drkit import config
from drkit.blobs import inventory
from drkit.blobs.bucket.capture import BucketCapture
from drkit.blobs.ends import Ends
from drkit.blobs.inventory import Entry
from drkit.blobs.opening import open_bucket
from drkit.blobs.units.executors import Spread
from drkit.blobs.units.sources import BucketSource, DirectorySource, Source
from drkit.blobs.units.unit import Outcome, Wrong
from drkit.blobs.units.work import Hashing
from drkit.blobs.vault import fetching
from drkit.blobs.vault.object_lock import Locking
from drkit.blobs.vault.reading import VaultReader
from drkit.errors import DrkitError
from drkit.model import BucketPlace
from drkit.progress import Meter, silent
from drkit.registry import storage
from tests import dask_work


def main() -> None:
    """Do what the file says, and tell what came of it, and who did it."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    settings = config.Cluster.model_validate_json(json.dumps(spec["cluster"]))
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=spec["scratch"]) as scratch:
        more = {"perform": getattr(dask_work, spec["work"])} if "work" in spec else {}
        spread = Spread(settings, Path(scratch), unit=spec.get("unit", 1 << 20), **more)
        try:
            if "capture" in spec:
                _capture(spec["capture"], spread, answer)
            elif "fetch" in spec:
                _fetch(spec["fetch"], spread, answer)
            else:
                _hash(spec, spread, answer)
            answer["shared"] = spread.shared and asdict(spread.shared)
        except DrkitError as error:
            answer["error"] = {"kind": error.kind, "message": error.message, "code": error.exit_code}
    sys.stdout.write(json.dumps(answer))


def _hash(spec: dict[str, Any], spread: Spread, answer: dict[str, Any]) -> None:
    """Read all blobs, and tell which are wrong."""
    found: dict[str, str] = {}
    read: list[str] = []
    answer |= {"wrong": found, "read": read}

    def settle(entry: Entry, outcome: Outcome) -> None:
        read.append(entry.digest)
        if isinstance(outcome, Wrong):
            found[entry.digest] = outcome.kind

    source, entries = _opened(spec)
    spread.run(entries, Hashing(source), settle, Meter(silent, "read", None))


def _opened(spec: dict[str, Any]) -> tuple[Source, Iterator[Entry]]:
    if "root" in spec:
        root = Path(spec["root"])
        return DirectorySource(root), (Entry(digest, "", size) for digest, size in storage.stored_blobs(root))
    shelf = _shelf(spec["bucket"])
    return BucketSource(shelf, any_copy=True), _listed(shelf)


def _capture(spec: dict[str, Any], spread: Spread, answer: dict[str, Any]) -> None:
    """Copy what the vault lacks of a bucket, and tell the inventory."""
    source, vault = _shelf(spec["source"]), _shelf(spec["vault"])
    until = datetime.fromisoformat(spec["until"]) if "until" in spec else None
    ends = Ends(source.bucket, source.place, vault.bucket, vault.place)
    locking = Locking(vault.bucket.versioning(), until, until)
    capture = BucketCapture(ends, spread.directory, lambda: iter(()), locking, silent, executor=spread)
    capture.copy()
    answer["inventory"] = [
        (entry.digest, entry.size, entry.version) for entry in inventory.from_file(capture.inventory)
    ]
    answer["bad"] = capture.copied.bad.first


def _fetch(spec: dict[str, Any], spread: Spread, answer: dict[str, Any]) -> None:
    """Bring all blobs of a vault into a directory."""
    vault, arrived = _shelf(spec["vault"]), list[str]()
    old = Path(spec["old"]) if "old" in spec else None
    meter = Meter(silent, "fetch", None)
    found = fetching.fetch(vault, _listed(vault), Path(spec["root"]), meter, old, arrived.append, spread)
    answer |= {"arrived": arrived, "kept": found.kept, "faults": found.faults}


def _shelf(spec: dict[str, Any]) -> VaultReader:
    settings = config.S3.model_validate_json(json.dumps(spec))
    return VaultReader(open_bucket(settings), BucketPlace(settings.bucket), original=True)


def _listed(shelf: VaultReader) -> Iterator[Entry]:
    for each in shelf.bucket.listed("docker/"):
        yield Entry(storage.digest_of_blob(f"/{each.key}") or "", each.key, each.size)


if __name__ == "__main__":
    main()
