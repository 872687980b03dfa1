"""The work on a unit: on a worker of a cluster by `perform`, in this process by `look`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from drkit import __version__, config
from drkit.blobs.inventory import Entry
from drkit.blobs.opening import open_bucket
from drkit.blobs.units import messages
from drkit.blobs.units.sources import BucketSource, DirectorySource, Source, Stop, Tell
from drkit.blobs.units.unit import Wrong
from drkit.blobs.vault.reading import VaultReader
from drkit.errors import DrkitError, ToolFailed
from drkit.model import BucketPlace
from drkit.tools import cluster
from drkit.tools.parallel import for_each


class _UnwantedError(Exception):
    """Ends one unit; an interruption would end all others that the worker does."""


def perform(message: bytes) -> bytes:
    """Do the unit that a message names, with what this machine has; runs on a worker."""
    question = messages.asked(message)
    if question.version != __version__:
        return messages.refuse(__version__)
    wanted = cluster.wanted()

    def stop() -> None:
        if not wanted():
            raise _UnwantedError

    try:
        source = opened(question.place)
        return messages.reply(look(source, question.items, stop, _nobody))
    except DrkitError as error:
        return messages.fail(error.message)
    except _UnwantedError:
        return messages.fail("nobody waits for it any more")


def look(
    source: Source,
    items: Sequence[Entry],
    stop: Stop,
    tell: Tell,
    settle: Callable[[Entry, Wrong | None], object] | None = None,
) -> dict[int, Wrong]:
    """Read every blob; what is wrong stands under its place among them.

    `settle` is told of each as soon as it is read, by several threads.
    """
    wrong: dict[int, Wrong] = {}

    def one(item: tuple[int, Entry]) -> None:
        stop()
        if found := source.look(item[1], stop, tell):
            wrong[item[0]] = found
        if settle:
            settle(item[1], found)

    if source.at_once == 1 or len(items) == 1:
        for item in enumerate(items):
            one(item)
    else:
        for_each(enumerate(items), one, min(source.at_once, len(items)))
    return wrong


def opened(place: Mapping[str, Any]) -> Source:
    """Where a message says that the blobs are, opened by this machine's own files or role."""
    if place["kind"] == "directory":
        return DirectorySource(Path(place["root"]))
    return _bucket(json.dumps(place), _changed(place["s3"].get("credentials_file")))


@lru_cache(maxsize=4)
def _bucket(place: str, _changed: int) -> BucketSource:
    """Open for as long as the worker is there: to open one takes as long as to read some megabytes."""
    found = json.loads(place)
    settings = config.S3.model_validate_json(json.dumps(found["s3"]))
    shelf = VaultReader(open_bucket(settings), BucketPlace(settings.bucket), original=True)
    return BucketSource(settings, shelf, found["copies"])


def _changed(path: str | None) -> int:
    """When a credentials file was written: other credentials are another opening."""
    if path is None:
        return 0
    try:
        return Path(path).stat().st_mtime_ns
    except OSError as error:
        raise ToolFailed(f"this worker has no {path}: {error.strerror}") from None


def _nobody(_count: int) -> None:
    """Told of every piece, on a worker of which nobody sees the progress."""
