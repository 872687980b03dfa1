"""What each target has been told, in a file of the state directory.

A file that is lost or damaged means that everything is told again, never that nothing is.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, TypeAdapter

from drkit.actions.alarms.plan import Memory
from drkit.files import replace_file

log = logging.getLogger(__name__)

_FILE, _LOCK = "alarms.json", "alarms.lock"
_MODE = 0o600
# Spaces at the file's end, for what may have to be remembered when the disk is full.
_SPARE = 1 << 15


@dataclass(frozen=True)
class Memories:
    """Target -> what it knows; when that was, and when to look again if nothing runs before."""

    targets: Mapping[str, Memory] = field(default_factory=dict)
    looked_at: AwareDatetime | None = None
    look_again: AwareDatetime | None = None


_ADAPTER = TypeAdapter(Memories)


def read(state: Path) -> Memories:
    """What is remembered; nothing where that cannot be read."""
    path = state / _FILE
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return Memories()
    except (OSError, ValueError):
        log.warning("cannot read in %s what has been told: it is told again", path)
        return Memories()


def write(state: Path, memories: Memories) -> None:
    """Remember it; that this fails is logged, and means that it is told again.

    On a full disk it goes into the room that the file has already: else a full disk would be told of at every
    look, and never that there is room again.
    """
    path = state / _FILE
    text = _ADAPTER.dump_json(memories, indent=1).decode()
    try:
        replace_file(path, text.ljust(len(text) + _SPARE), mode=_MODE)
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT) or not _in_place(path, text.encode()):
            log.warning("cannot write down in %s what has been told: %s", path, error.strerror)


def _in_place(path: Path, data: bytes) -> bool:
    """Write over what is there, where that is long enough; a crash meanwhile may leave it damaged."""
    try:
        with path.open("r+b") as file:
            room = path.stat().st_size
            if len(data) > room:
                return False
            file.write(data.ljust(room))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True


@contextlib.contextmanager
def one_at_a_time(state: Path, seconds: float) -> Iterator[None]:
    """Runs that end at the same moment tell things once; but twice rather than never."""
    lock = FileLock(state / "locks" / _LOCK, mode=_MODE)
    try:
        lock.acquire(timeout=seconds, poll_interval=0.1)
    except (Timeout, OSError) as error:
        log.warning("what has been told may be told twice: %s", error)
    try:
        yield
    finally:
        lock.release()
