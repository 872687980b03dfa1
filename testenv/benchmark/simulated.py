"""Workers whose storage answers at a fixed rate, many of them in one process: what a cluster itself costs.

python -m testenv.benchmark.simulated SCHEDULER COUNT: so many workers, until the scheduler goes.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from drkit.blobs.inventory import Entry
from drkit.blobs.units import messages
from drkit.blobs.units.sources import Stop, Tell
from drkit.blobs.units.unit import Wrong

SIZE = 64 << 20
# Bytes a second of each worker: a unit of 1 GiB takes eight seconds.
RATE = 128 << 20


def head(entry: Entry, count: int) -> bytes:
    """The first bytes of a blob that is nowhere: they follow from its name."""
    return (hashlib.sha256(entry.digest.encode()).digest() * (count // 32 + 1))[:count]


class SimulatedSource:
    """Blobs that are nowhere; see drkit.blobs.units.sources."""

    at_once = 1

    def place(self, *, files: bool) -> Mapping[str, Any]:  # noqa: ARG002 - there is nothing to be opened
        """See Source."""
        return {"kind": "simulated"}

    def look(self, entry: Entry, _stop: Stop, _tell: Tell) -> Wrong | None:
        """See Source."""
        if entry.size == SIZE:
            return None
        return Wrong("longer", entry.size, hashlib.sha256(head(entry, entry.size)).hexdigest())

    def head(self, entry: Entry, count: int) -> bytes:
        """See Source."""
        return head(entry, count)


def blobs(count: int, size: int = SIZE) -> Iterator[Entry]:
    """So many blobs, evenly among all prefixes, sorted."""
    step = (1 << 256) // count
    return (Entry(f"sha256:{number * step:064x}", "", size) for number in range(count))


def perform(message: bytes) -> bytes:
    """Take as long as the storage would, and answer as who has read it."""
    items = messages.asked(message).items
    time.sleep(sum(item.size for item in items) / RATE)
    source = SimulatedSource()
    found = (
        (position, source.look(item, lambda: None, lambda _count: None))
        for position, item in enumerate(items)
    )
    return messages.reply({position: wrong for position, wrong in found if wrong})


async def _workers(scheduler: str, count: int) -> None:
    from distributed import Worker

    workers = await asyncio.gather(
        *(
            Worker(scheduler, nthreads=1, host="127.0.0.1", dashboard=False, memory_limit=0)
            for _ in range(count)
        )
    )
    print("Registered to:", scheduler, flush=True)
    await asyncio.gather(*(worker.finished() for worker in workers))


if __name__ == "__main__":
    asyncio.run(_workers(sys.argv[1], int(sys.argv[2])))
