"""The work on a unit: on a worker of a cluster by `perform`, in this process by `do`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from drkit import __version__, config
from drkit.blobs.inventory import Entry
from drkit.blobs.opening import access
from drkit.blobs.units import messages
from drkit.blobs.units.sources import BucketSource, DirectorySource, Stop, Tell
from drkit.blobs.units.targets import BucketTarget, DirectoryTarget
from drkit.blobs.units.unit import DONE, Outcome
from drkit.blobs.units.work import Copying, Hashing, Work
from drkit.blobs.vault.reading import VaultReader
from drkit.errors import DrkitError, ToolFailed
from drkit.model import BucketPlace
from drkit.tools import cluster
from drkit.tools.parallel import for_each
from drkit.tools.s3.bucket import Bucket, Lock


class _UnwantedError(Exception):
    """Ends one unit; an interruption would end all others that the worker does."""


def perform(message: bytes) -> bytes:
    """Do the unit that a message names, with what this machine has; runs on a worker."""
    question = messages.asked(message)
    if question.version != __version__:
        return messages.refuse(__version__)
    cluster.stop_profiling()
    wanted = cluster.wanted()

    def stop() -> None:
        if not wanted():
            raise _UnwantedError

    try:
        work = opened(question.place)
        return messages.reply(do(work, question.items, stop, _nobody, work.at_once))
    except DrkitError as error:
        return messages.fail(error.message)
    except _UnwantedError:
        return messages.fail("nobody waits for it any more")


def do(
    work: Work,
    items: Sequence[Entry],
    stop: Stop,
    tell: Tell,
    at_once: int = 1,
    settle: Callable[[Entry, Outcome], object] = lambda _entry, _outcome: None,
) -> dict[int, Outcome]:
    """Do it with every blob; what there is to say beyond DONE stands under its place among them.

    `settle` is told of each as soon as it is done, by as many threads as there are `at_once`.
    """
    found: dict[int, Outcome] = {}

    def one(item: tuple[int, Entry]) -> None:
        stop()
        outcome = work.do(item[1], stop, tell)
        if outcome != DONE:
            found[item[0]] = outcome
        settle(item[1], outcome)

    if at_once == 1 or len(items) == 1:
        for item in enumerate(items):
            one(item)
    else:
        for_each(enumerate(items), one, min(at_once, len(items)))
    return found


def opened(place: Mapping[str, Any]) -> Work:
    """What a message says is to be done, with what this machine's own files or role open."""
    source = _source(place["source"])
    if place["work"] == "hash":
        return Hashing(source)
    assert isinstance(source, BucketSource)
    return Copying(source, _target(place["target"]))


def _source(place: Mapping[str, Any]) -> DirectorySource | BucketSource:
    if place["kind"] == "directory":
        return DirectorySource(Path(place["root"]))
    bucket = _open(place["s3"])
    shelf = VaultReader(bucket, BucketPlace(bucket.access.bucket), original=True)
    return BucketSource(shelf, place["copies"])


def _target(place: Mapping[str, Any]) -> DirectoryTarget | BucketTarget:
    if place["kind"] == "directory":
        old = Path(place["old"]) if place["old"] else None
        root, bare = Path(place["root"]), place["bare"]
        target = DirectoryTarget(root, place["partial"], old, lasting=True, bare=bare)
        target.require()
        return target
    bucket = _open(place["s3"])
    where = BucketPlace(bucket.access.bucket, place["prefix"])
    lock = place["lock"] and Lock(datetime.fromisoformat(place["lock"][0]), place["lock"][1])
    return BucketTarget(bucket, where, lock, place["resumes"])


def _open(named: Mapping[str, Any]) -> Bucket:
    return _bucket(json.dumps(named, sort_keys=True), _changed(named.get("credentials_file")))


@lru_cache(maxsize=8)
def _bucket(named: str, _changed: int) -> Bucket:
    """Open for as long as the worker is there: to open one takes as long as to read some megabytes."""
    found = json.loads(named)
    limits = {name: found.pop(name) for name in ("upload_limit", "download_limit")}
    settings = config.S3.model_validate_json(json.dumps(found))
    return Bucket(replace(access(settings), **limits))


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
