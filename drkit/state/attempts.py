"""Attempts at verbs: written down when one begins, completed when it ends.

One file an attempt, and beside it a lock that its process holds: the kernel lets go of it however the process
ends, so that a record without an end whose lock is free belongs to a run that was killed.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from drkit.files import replace_file
from drkit.logs import encodable
from drkit.model import STRUCTURE, Attempt, utc_now
from drkit.state import history
from drkit.state.directory import is_held, new_id

log = logging.getLogger(__name__)

_ADAPTER = TypeAdapter(Attempt)
_DIRECTORY_MODE, _FILE_MODE = 0o700, 0o600
# A disk that is full at the end is full at the beginning of the next attempt as well: few, but not one.
_UNENDED_KEPT = 20


@dataclass
class Recorder:
    """Writes down one attempt. That it cannot write keeps nothing from being done: it is logged.

    `remembered` is whether it belongs to the history as well.
    """

    directory: Path
    attempt: Attempt
    remembered: bool = True
    _lock: FileLock | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Write down that it begins."""
        path = _path(self.directory, self.attempt)
        try:
            self.directory.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
            lock = FileLock(path.with_suffix(".lock"), mode=_FILE_MODE)
            lock.acquire(blocking=False)
            self._lock = lock
            _write(path, self.attempt)
        except (OSError, Timeout) as error:
            log.warning("cannot write down in %s that %s begins: %s", path, self.attempt.label, error)

    def end(
        self,
        exit_code: int,
        *,
        kind: str = "",
        message: str = "",
        subject: str = "",
        recovery_time: float | None = None,
    ) -> None:
        """Write down how it ended, and forget what that supersedes; `attempt` tells of it in any case."""
        ended = self.attempt = replace(
            self.attempt,
            ended_at=utc_now(),
            exit_code=exit_code,
            kind=kind,
            message=encodable(message),
            subject=subject,
            recovery_time_seconds=recovery_time,
        )
        path = _path(self.directory, ended)
        try:
            self.directory.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
            _write(path, ended)
            if self.remembered:
                history.append(self.directory, ended)
            for old in superseded(read(self.directory), ended):
                if old.lost:
                    history.append(self.directory, old)
                _remove(_path(self.directory, old))
        except OSError as error:
            log.warning("cannot write down in %s how %s ended: %s", path, ended.label, error)
        finally:
            self._let_go()

    def discard(self) -> None:
        """Forget that it began, for nothing was tried."""
        with contextlib.suppress(OSError):
            _path(self.directory, self.attempt).unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()
        with contextlib.suppress(OSError):
            _path(self.directory, self.attempt).with_suffix(".lock").unlink(missing_ok=True)


def recorder(directory: Path, verb: str, scope: str = "", *, thorough: int = STRUCTURE) -> Recorder:
    """A recorder for an attempt that begins now."""
    now = utc_now()
    return Recorder(directory, Attempt(new_id(now), verb, scope, now, thorough=thorough))


def note(directory: Path, verb: str, why_not: str = "", scope: str = "") -> None:
    """Write down how something short ended: well, or why not."""
    done = replace(recorder(directory, verb, scope), remembered=False)
    done.end(7 if why_not else 0, kind="tool_failed" if why_not else "", message=why_not)


def read(directory: Path) -> tuple[Attempt, ...]:
    """Every attempt that is known, in the order in which they began; raises OSError."""
    if not directory.is_dir():
        return ()
    found = [attempt for path in directory.glob("*.json") if (attempt := _read(path)) is not None]
    return tuple(sorted(found, key=lambda attempt: (attempt.began_at, attempt.id)))


def read_with(directory: Path, ended: Attempt) -> tuple[Attempt, ...]:
    """The same with one that has just ended, whether or not that could be written down."""
    try:
        found = read(directory)
    except OSError as error:
        log.warning("cannot read in %s how earlier runs ended: %s", directory, error)
        found = ()
    others = [attempt for attempt in found if attempt.id != ended.id]
    return tuple(sorted((*others, ended), key=lambda attempt: (attempt.began_at, attempt.id)))


def superseded(known: Sequence[Attempt], ended: Attempt) -> tuple[Attempt, ...]:
    """The attempts that say nothing any more once this one has ended; pure.

    Only a success takes back that an earlier one was killed, and only as thorough a check takes back damage.
    """
    older = [a for a in known if a.id != ended.id and not a.running]
    if ended.good:
        # What another verb of its kind has shown stays to be told of.
        return tuple(a for a in older if a.mended_by(ended) and (a.key == ended.key or not a.good))
    lost = [a for a in older if a.lost and a.key == ended.key]
    done = [a for a in older if a.ended_at is not None and a.key == ended.key and not a.damage]
    return (*done, *lost[: max(0, len(lost) - _UNENDED_KEPT)])


def _path(directory: Path, attempt: Attempt) -> Path:
    return directory / f"{attempt.key.replace(' ', '-')}.{attempt.id}.json"


def _write(path: Path, attempt: Attempt) -> None:
    kept = replace(attempt, running=False)
    replace_file(path, _ADAPTER.dump_json(kept, indent=1).decode(), mode=_FILE_MODE)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".lock").unlink(missing_ok=True)


def _read(path: Path) -> Attempt | None:
    """What a file says; None where it has gone meanwhile, or is no record of an attempt."""
    try:
        attempt = _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        log.warning("%s is not understood: %s", path, re.sub(r"\s+", " ", str(error)))
        return None
    if attempt.ended_at:
        return attempt
    lock = path.with_suffix(".lock")
    return replace(attempt, running=lock.exists() and is_held(lock))
