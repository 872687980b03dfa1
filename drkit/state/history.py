"""How runs have ended on this machine, for a year and a month: a line of JSON each, the oldest first.

Attempts are forgotten as soon as a later one says more; a calendar needs all of them. It is for people to
look at: no judgement is built on it, and a line that is damaged is left out.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from drkit.files import replace_file
from drkit.model import Attempt

log = logging.getLogger(__name__)

FILE = "history.jsonl"
KEPT = timedelta(days=396)
# About a run each hour for a year; from then on what is too old is dropped.
LARGE = 2 << 20
_MODE = 0o600
_ADAPTER = TypeAdapter(Attempt)


def append(directory: Path, ended: Attempt, large: int = LARGE) -> None:
    """Write down an attempt that has ended, or never will; raises OSError.

    A file of more than `large` bytes is made short.

    What it said stays out: that is for the log, and grows.
    """
    path = directory / FILE
    line = _ADAPTER.dump_json(replace(ended, message=""), exclude_defaults=True) + b"\n"
    with FileLock(directory / f"{FILE}.lock", mode=_MODE, timeout=10):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > large:
                _shorten(directory, _when(ended), large)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
        try:
            # A full disk may have cut the last one off: that is left out, and not this one with it.
            os.write(descriptor, line if _ends_well(path) else b"\n" + line)
        finally:
            os.close(descriptor)


def read(directory: Path, since: datetime) -> tuple[Attempt, ...]:
    """The runs since then, the oldest first; none where nothing is written down or it cannot be read."""
    return tuple(sorted((run for run in _lines(directory) if _when(run) >= since), key=_when))


def _when(run: Attempt) -> datetime:
    """When it ended; of one that was killed, when it began."""
    return run.ended_at or run.began_at


def _lines(directory: Path) -> Iterator[Attempt]:
    try:
        with (directory / FILE).open("rb") as file:
            for line in file:
                with contextlib.suppress(ValidationError):
                    yield _ADAPTER.validate_json(line)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("cannot read in %s how earlier runs ended: %s", directory / FILE, error)


def _ends_well(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")


def _shorten(directory: Path, now: datetime, large: int) -> None:
    kept = read(directory, now - KEPT)
    # Not even a run each minute makes it grow for ever.
    lines = [_ADAPTER.dump_json(each, exclude_defaults=True).decode() + "\n" for each in kept]
    while sum(map(len, lines)) > large:
        lines = lines[len(lines) // 4 :]
    replace_file(directory / FILE, "".join(lines), mode=_MODE)
