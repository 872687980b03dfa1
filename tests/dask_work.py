"""What workers of tests do with a unit: what drkit does, or what goes wrong in the world.

Which of them misbehaves is said by the environment of its process; BENCH is a directory that all of them see.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from drkit.blobs.units import messages, worker
from drkit.blobs.units.unit import Wrong
from drkit.tools import cluster

_PATIENCE = 120


def gated(message: bytes) -> bytes:
    """Say that a unit has begun, and do it when the file `go` is there."""
    bench = Path(os.environ["BENCH"])
    (bench / f"began-{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}").touch()
    deadline = time.monotonic() + _PATIENCE
    while not (bench / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return worker.perform(message)


def halfway(message: bytes) -> bytes:
    """Do a part of a unit, say that it has begun, and then nothing more until the file `go` is there."""
    question = messages.asked(message)
    worker.perform(messages.ask(question.place, question.items[: len(question.items) // 2]))
    return gated(message)


def twice(message: bytes) -> bytes:
    """Do the first unit of all once more when it is done, as a second worker does that nobody waits for."""
    answer = worker.perform(message)
    with contextlib.suppress(FileExistsError):
        (Path(os.environ["BENCH"]) / "twice").touch(exist_ok=False)
        worker.perform(message)
    return answer


def lying(message: bytes) -> bytes:
    """Say of every blob that it is right, unread, where this worker lies."""
    return messages.reply({}) if os.environ.get("LIES") else worker.perform(message)


def accusing(message: bytes) -> bytes:
    """Do a unit, and say of the first blob that is right that it is wrong."""
    count = len(messages.asked(message).items)
    found = dict(messages.replied(worker.perform(message), count).found)
    innocent = next((each for each in range(count) if not isinstance(found.get(each), Wrong)), None)
    if innocent is not None:
        found[innocent] = Wrong("bytes", 1, "0" * 64)
    return messages.reply(found)


def hanging(message: bytes) -> bytes:
    """Never end, where this worker hangs: until nobody waits for it, which a file tells then."""
    wanted = cluster.wanted()
    deadline = time.monotonic() + _PATIENCE
    while os.environ.get("HANGS") and wanted() and time.monotonic() < deadline:
        time.sleep(0.02)
    if not wanted():
        (Path(os.environ["BENCH"]) / f"unwanted-{os.getpid()}").touch()
    return worker.perform(message)


def failing(message: bytes) -> bytes:
    """Fail at the unit that has a blob with these digits."""
    if any(item.digest.endswith(os.environ["FAILS"]) for item in messages.asked(message).items):
        raise RuntimeError("the disk is on fire")
    return worker.perform(message)
