"""Blobs that a service copies by itself from one of its buckets to another, and those that are left.

No byte of the former passes a machine of ours: nothing of it is big work, wherever it is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.reading import WORKERS
from drkit.tools.parallel import for_each
from drkit.tools.scratch import scratch_database


def left_over(entries: Iterable[Entry], settled: Callable[[Entry], bool], directory: Path) -> Iterator[Entry]:
    """Try every blob; then those that are not `settled`, sorted by digest, as a stream.

    They are kept in a file of the run's directory meanwhile. One that takes long holds up no other.
    """
    path = directory / "left-over.db"
    path.unlink(missing_ok=True)
    lock = threading.Lock()
    with closing(scratch_database(path, autocommit=True)) as store:
        store.execute("CREATE TABLE blob (digest TEXT PRIMARY KEY, line BLOB) WITHOUT ROWID")

        def one(entry: Entry) -> None:
            if settled(entry):
                return
            line = b"".join(inventory.to_lines([entry])).rstrip(b"\n")
            with lock:
                store.execute("INSERT INTO blob VALUES (?, ?)", (entry.digest, line))

        for_each(entries, one, WORKERS)
    return _kept(path)


def _kept(path: Path) -> Iterator[Entry]:
    with closing(scratch_database(path, autocommit=True)) as store:
        for (line,) in store.execute("SELECT line FROM blob ORDER BY digest"):
            yield inventory.entry(line)
