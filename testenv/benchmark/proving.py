"""What the ledger adds to hashing: so many blobs hashed, with a ledger of them written and without."""

from __future__ import annotations

import hashlib
import itertools
import os
import resource
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from drkit.checks.images import hash_file
from drkit.points.ledger import records
from drkit.points.ledger.joining import Reader, Round
from drkit.tools.parallel import for_each
from testenv.benchmark.table import grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from drkit.points.ledger.records import LedgerFile

# Ten terabytes in five million blobs are two MiB each: an eighth of that.
BLOB_BYTES = 256 << 10
AIM_SHARE = 0.05
AIM_BYTES = 20_000_000
_FILES = 400
_WORKERS = 2
_SLICES = 50
_DAY = timedelta(days=1)


def report(directory: Path, blobs: int) -> str:
    """Measure in processor seconds: on a machine that others use as well, the clock tells little."""
    files = _files(directory / "blobs")
    start = datetime.now(UTC)
    before = Round("vault", "bench", [], _reader(start), start - _DAY, directory / "before")
    for name in _names(blobs):
        before.listed(name, BLOB_BYTES)
        before.spool.right(name, BLOB_BYTES)
    before.all_listed()
    before.write(directory / "before.ledger")
    made = Round("vault", "bench", [], _reader(start), start - _DAY, directory / "first")
    old: list[LedgerFile] = []
    later = _measured(lambda: old.append(records.read(directory / "before.ledger")))
    again = Round("vault", "bench", old, _reader(start + _DAY), start, directory / "second")
    bare = first = 0.0
    # In turn, a slice at a time: what else the machine does meets all of them alike.
    names = _names(blobs)
    while some := list(itertools.islice(names, max(blobs // _SLICES, 1))):
        bare += _measured(partial(_hash, files, some, None))
        first += _measured(partial(_hash, files, some, made))
        later += _measured(partial(_hash, files, some, again))
    for each in (made, again):
        each.all_listed()
    first += _measured(lambda: made.write(directory / "first.ledger"))
    later += _measured(lambda: again.write(directory / "second.ledger"))
    size = (directory / "second.ledger").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = [
        ("hashing alone", f"{bare:.1f}", ""),
        ("with the first ledger", f"{first:.1f}", _against(first / bare - 1)),
        ("with a ledger that goes on with another", f"{later:.1f}", _against(later / bare - 1)),
    ]
    fits = "" if size / blobs * 1_000_000 < AIM_BYTES else " (missed)"
    return (
        f"{blobs:,} blobs of {BLOB_BYTES >> 10} KiB, all of them read; in {_FILES:,} files in memory.\n"
        f"The ledger has {size:,} bytes, {size / blobs:.2f} for each blob{fits}. Memory at its highest:"
        f" {peak:.0f} MiB.\n\n{grid(('work', 'processor (s)', 'more'), rows)}\n"
    )


def _against(share: float) -> str:
    return f"{share:.1%}{'' if share < AIM_SHARE else ' (missed)'}"


def _reader(at: datetime) -> Reader:
    return Reader("bench", "verify", "bench", at)


def _measured(work: Callable[[], object]) -> float:
    """Processor seconds, ours and the system's for us."""
    before = time.process_time()
    work()
    return time.process_time() - before


def _files(directory: Path) -> Sequence[Path]:
    directory.mkdir()
    paths = []
    for number in range(_FILES):
        path = directory / str(number)
        path.write_bytes(os.urandom(BLOB_BYTES))
        paths.append(path)
    return paths


def _names(count: int) -> Iterator[str]:
    """Digests in their order, as evenly spread as real ones; made as cheaply as possible."""
    step = (1 << 256) // count
    tail = hashlib.sha256(b"bench").hexdigest()[32:]
    return (f"sha256:{number * step >> 128:032x}{tail}" for number in range(count))


def _hash(files: Sequence[Path], names: Iterable[str], ledger: Round | None) -> None:
    def listed() -> Iterator[tuple[str, Path]]:
        for name, path in zip(names, itertools.cycle(files), strict=False):
            if ledger is not None:
                ledger.listed(name, BLOB_BYTES)
            yield name, path

    def look(blob: tuple[str, Path]) -> None:
        name, path = blob
        hash_file(path)
        if ledger is not None:
            ledger.spool.right(name, BLOB_BYTES)

    for_each(listed(), look, _WORKERS)
