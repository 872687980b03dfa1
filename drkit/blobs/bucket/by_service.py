"""Blobs that a service copies by itself from one of its buckets to another, and those that are left.

No byte of the former passes a machine of ours: nothing of it is big work, wherever it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.reading import WORKERS
from drkit.tools.parallel import in_order


def left_over(entries: Iterable[Entry], settled: Callable[[Entry], bool], directory: Path) -> Iterator[Entry]:
    """Try every blob; then those that are not `settled`, in their order, as a stream.

    They are kept in a file of the run's directory meanwhile.
    """

    def one(entry: Entry) -> Entry | None:
        return None if settled(entry) else entry

    path = directory / "left-over.jsonl"
    left = (entry for entry in in_order(entries, one, WORKERS) if entry is not None)
    with path.open("wb") as file:
        file.writelines(inventory.to_lines(left))
    return inventory.from_file(path)
