"""A restore into a bucket that was cut off: the mark that says so, and what somebody has written since."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from drkit.blobs.ends import below
from drkit.errors import ObjectMissing
from drkit.model import BucketPlace
from drkit.tools.s3.bucket import Bucket
from drkit.tools.scratch import scratch_database

MARK = ".drkit-restoring-"
DONE = "done"


def is_cut_off(target: Bucket, place: BucketPlace, point: str) -> bool:
    """Whether a restore of this point was begun there and did not end."""
    try:
        said = json.loads(target.read_small(f"{below(place)}{MARK}{point}"))
    except (ObjectMissing, ValueError):
        return False
    return isinstance(said, dict) and DONE not in said


def surplus_names(there: Iterable[str], wanted: Iterable[str], path: Path) -> tuple[int, str]:
    """How many names are there that are not wanted, and the first of them; kept in a file meanwhile."""
    with closing(scratch_database(path)) as store:
        store.execute("CREATE TABLE name (name TEXT PRIMARY KEY) WITHOUT ROWID")
        store.executemany("INSERT OR IGNORE INTO name VALUES (?)", ((name,) for name in there))
        store.executemany("DELETE FROM name WHERE name = ?", ((name,) for name in wanted))
        count, first = store.execute("SELECT count(*), min(name) FROM name").fetchone()
    path.unlink()
    return int(count), str(first or "")
