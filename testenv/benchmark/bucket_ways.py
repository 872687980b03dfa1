"""One piece of work on the benchmark's buckets, in a process of its own: `WAY ENDPOINT DIRECTORY`.

boto3    both buckets listed by boto3's own paginator, one call after another
plan     both buckets listed and compared by drkit, against an inventory that has everything
nothing  what a backup with nothing new does: the same, and the new inventory written
copy     what a backup does with a vault that is empty
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from drkit.blobs import inventory
from drkit.blobs.bucket import plan as bucket_plan
from drkit.blobs.bucket.capture import BucketCapture
from drkit.blobs.ends import Ends
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.object_lock import Locking
from drkit.model import BucketPlace
from drkit.tools.s3.bucket import Access, Bucket
from testenv.benchmark.listing_server import PREFIX, content, key_of
from testenv.s3_server import CREDENTIALS, REGION

BEFORE = "before.jsonl"
_ROOT = "registry"


def write_inventory(directory: Path, keys: int) -> None:
    """The inventory of the point before, as if a backup had made it."""
    digests = sorted(hashlib.sha256(content(number)).hexdigest() for number in range(keys))
    entries = (Entry(f"sha256:{digest}", key_of(digest), 7) for digest in digests)
    with (directory / BEFORE).open("wb") as file:
        file.writelines(inventory.to_lines(entries))


def _one_by_one(endpoint: str, _directory: Path) -> int:
    import boto3

    session = boto3.session.Session(*CREDENTIALS.values(), region_name=REGION)
    s3 = session.client("s3", endpoint_url=endpoint)
    paginator = s3.get_paginator("list_objects_v2")
    sides = (paginator.paginate(Bucket="full", Prefix=PREFIX) for _ in range(2))
    return sum(len(page["Contents"]) for pages in sides for page in pages)


def _ends(endpoint: str, vault: str) -> Ends:
    # By another name, so that it is another service: the bytes come through.
    other = endpoint.replace("127.0.0.1", "localhost")
    return Ends(
        Bucket(Access("full", endpoint, REGION, CREDENTIALS)),
        BucketPlace("full", _ROOT, endpoint),
        Bucket(Access(vault, other, REGION, CREDENTIALS)),
        BucketPlace(vault, _ROOT, other),
    )


def _plan(endpoint: str, directory: Path) -> int:
    ends, tally = _ends(endpoint, "full"), bucket_plan.PlanCount()
    planned = bucket_plan.plan(
        bucket_plan.blobs(ends.source.listed_at_once(ends.blobs), ends.blobs),
        bucket_plan.blobs(ends.vault.listed_at_once(ends.kept), ends.kept),
        inventory.from_file(directory / BEFORE),
        f"{_ROOT}/",
        None,
        tally,
    )
    kept = sum(1 for _ in planned)
    if tally.missing:
        raise RuntimeError(f"{tally.missing} blobs count as missing")
    return 2 * kept


def _capture(endpoint: str, directory: Path, vault: str) -> int:
    def before() -> Iterator[Entry]:
        return inventory.from_file(directory / BEFORE) if vault == "full" else iter(())

    capture = BucketCapture(_ends(endpoint, vault), directory, before, Locking(False), lambda _update: None)
    capture.copy()
    return capture.copied.copied if vault == "empty" else 2 * capture.count.blobs


WAYS: dict[str, Callable[[str, Path], int]] = {
    "boto3": _one_by_one,
    "plan": _plan,
    "nothing": lambda endpoint, directory: _capture(endpoint, directory, "full"),
    "copy": lambda endpoint, directory: _capture(endpoint, directory, "empty"),
}


def main(way: str, endpoint: str, directory: str) -> None:
    """Do it, and say how many keys or blobs that were and how long it took."""
    began = time.perf_counter()
    count = WAYS[way](endpoint, Path(directory))
    print(json.dumps({"count": count, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
