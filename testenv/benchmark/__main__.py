"""The command line behind testenv/bench."""

from __future__ import annotations

import argparse
import contextlib
import logging
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from testenv.benchmark import (
    audit,
    buckets,
    closure,
    coming_back,
    copying,
    evidence,
    listing,
    many,
    proving,
    restoring,
    rounds,
    serving,
    spreading,
    table,
    volumes,
)
from testenv.benchmark.watch import CommandFailedError
from testenv.loops import LoopError
from testenv.processes import ServerError
from testenv.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MORE_BLOBS = 10


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("testenv").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        size = Size.of(blobs=options.blobs, rows=options.rows)
        with _workplace(options.directory) as directory:
            report = _made(options, size, directory)
    except (CommandFailedError, LoopError, ServerError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(report, end="")
    if options.output:
        options.output.write_text(report)
    return 0


def _made(options: argparse.Namespace, size: Size, directory: Path) -> str:
    """The report that was asked for."""
    wanted: tuple[tuple[object, Callable[[], str]], ...] = (
        (options.evidence, lambda: evidence.report(directory, options.rows, options.runs)),
        (
            options.closure,
            lambda: closure.report(directory, many.Counts(options.closure, options.closure * 5)),
        ),
        (options.audit, lambda: audit.report(directory, many.Counts(options.audit, options.audit * 5))),
        (options.buckets, lambda: buckets.report(directory, options.buckets)),
        (options.cluster, lambda: spreading.report(directory, size.blob_bytes, options.runs)),
        (options.ledger, lambda: proving.report(directory, options.ledger)),
        (options.serve, lambda: serving.report(directory, size, options.runs)),
        (options.image, lambda: restoring.report(directory, size.blob_bytes, options.runs)),
        (options.copy, lambda: copying.report(directory, size, options.copy, options.runs)),
        (options.points, lambda: listing.report(directory, size, options.points, options.runs)),
        (options.restore, lambda: coming_back.report(directory, size, options.runs)),
        (options.volumes, lambda: volumes.report(directory, size.blob_bytes, options.files, options.runs)),
    )
    for asked, report in wanted:
        if asked:
            return report()
    return _report(directory, size, options.runs, memory=options.memory)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="testenv/bench", description=rounds.__doc__)
    parser.add_argument("--blobs", default="2GB", help="bytes of all layers together (default: %(default)s)")
    parser.add_argument(
        "--rows", type=int, default=2_000_000, help="rows of all tables together (default: %(default)s)"
    )
    parser.add_argument("--runs", type=_positive, default=1, help="the best of so many counts (default: 1)")
    parser.add_argument("--memory", action="store_true", help="also with ten times as many blobs, for memory")
    parser.add_argument(
        "--closure",
        type=_positive,
        metavar="BLOBS",
        help="instead: what the closure takes with so many tiny blobs, five rows each",
    )
    parser.add_argument(
        "--audit",
        type=_positive,
        metavar="BLOBS",
        help="instead: what an audit of so many tiny blobs takes, against find",
    )
    parser.add_argument(
        "--buckets",
        type=_positive,
        metavar="KEYS",
        nargs="?",
        const=1_000_000,
        help="instead: what planning takes with so many blobs in a bucket and its vault (default: %(const)s)",
    )
    parser.add_argument(
        "--ledger",
        type=_positive,
        metavar="BLOBS",
        nargs="?",
        const=1_000_000,
        help="instead: what a ledger of so many blobs adds to hashing them (default: %(const)s)",
    )
    parser.add_argument("--evidence", action="store_true", help="instead: what evidence adds to pg_dump")
    parser.add_argument("--cluster", action="store_true", help="instead: hashing by the workers of a cluster")
    parser.add_argument("--serve", action="store_true", help="instead: pulls from a recovery point")
    parser.add_argument("--image", action="store_true", help="instead: one image back into a registry")
    parser.add_argument(
        "--copy",
        type=_positive,
        metavar="POINTS",
        nargs="?",
        const=100,
        help="instead: copying so many new points to a second repository (default: %(const)s)",
    )
    parser.add_argument(
        "--points",
        type=_positive,
        metavar="POINTS",
        nargs="?",
        const=500,
        help="instead: listing and expiring so many points, each with a drill (default: %(const)s)",
    )
    parser.add_argument("--restore", action="store_true", help="instead: restores, and after a loss")
    parser.add_argument("--volumes", action="store_true", help="instead: what freezing blobs costs")
    parser.add_argument(
        "--files", type=_positive, default=20_000, help="how many blobs, for --volumes (default: %(default)s)"
    )
    parser.add_argument("--directory", type=Path, help="where to work (default: /var/tmp)")
    parser.add_argument("--output", type=Path, help="write the report into this file as well")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _workplace(wanted: Path | None) -> Iterator[Path]:
    """An empty directory that is gone afterwards; a drill's PostgreSQL must be able to pass through it."""
    directory = Path(tempfile.mkdtemp(prefix="drkit-bench-", dir=wanted or "/var/tmp"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _report(directory: Path, size: Size, runs: int, *, memory: bool) -> str:
    quickest = rounds.help_seconds()
    results = rounds.compare(directory, size, runs)
    larger = None
    if memory:
        more = replace(size, tags=size.tags * _MORE_BLOBS, layers=size.layers * _MORE_BLOBS)
        larger = rounds.look_at_memory(directory, more)
    return table.render(results, larger, quickest, runs)


if __name__ == "__main__":
    sys.exit(main())
