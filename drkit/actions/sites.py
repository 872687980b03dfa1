"""`drkit status --all`: the status of every configuration in a directory, side by side.

Each site is looked at by a drkit of its own. A configuration that cannot be read, a crash, or a repository
that never answers then costs its own line, and no other; and nothing of one site is in the memory, the log or
the environment of another.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from drkit.errors import (
    Bug,
    ConfigError,
    DrkitError,
    Failure,
    NotGreen,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryRefused,
    ToolFailed,
    ToolMissing,
    UsageError,
)
from drkit.model import utc_now
from drkit.model.sites import SiteLine, Sites, SiteState, worst_first
from drkit.progress import Listener, Update, silent
from drkit.tools.parallel import in_order
from drkit.tools.process import execute
from drkit.tools.process.command import OWN_PROGRAM, Command, search_path

# Each is a Python of its own, with its restics.
AT_ONCE = 8
# Repositories that do not answer are waited for, a minute each.
TIMEOUT = timedelta(minutes=3)
_MOST_BYTES = 64 << 20
_NOT_LISTED = (7, 10, 11, 12)
_ERRORS: Mapping[int, type[Failure]] = {
    2: UsageError,
    4: ConfigError,
    5: NotGreen,
    10: RepositoryMissing,
    11: RepositoryLocked,
    12: RepositoryRefused,
}


def look(directory: Path, timeout: timedelta = TIMEOUT, listener: Listener = silent) -> Sites:
    """The status of each; one that takes longer than `timeout` is ended, and unknown.

    Raises ConfigError where the directory cannot be read or has no configuration in it.
    """
    files = _files(directory)
    lines: list[SiteLine] = []
    for line in in_order(files, lambda file: _look(file, timeout), AT_ONCE):
        lines.append(line)
        listener(Update("sites", len(lines), len(files), "items"))
    listener(Update("sites", finished=True))
    return Sites(str(directory), utc_now(), worst_first(lines))


def judged(found: Sites) -> Sites:
    """The same; raises, with it, the error of the worst site where one is not green."""
    if not found.bad:
        return found
    worst, count = found.bad[0], len(found.bad)
    said = f"{count} of {len(found.sites)} sites {'is' if count == 1 else 'are'} not green"
    error = _ERRORS.get(worst.exit_code, Bug if worst.exit_code == 1 else ToolFailed)
    raise error(
        f"{said}; the worst is {worst.site}: {worst.message or worst.first}", hint=worst.hint, result=found
    )


def _files(directory: Path) -> Sequence[Path]:
    try:
        found = sorted(p for p in directory.iterdir() if p.suffix == ".toml" and not p.name.startswith("."))
    except OSError as error:
        raise ConfigError(
            f"cannot read the directory {directory}: {error.strerror}",
            hint="--all takes a directory with a configuration for each site",
        ) from None
    if not found:
        raise ConfigError(
            f"there is no configuration in {directory}", hint="each site's file there ends in .toml"
        )
    return found


def _look(file: Path, timeout: timedelta) -> SiteLine:
    words = ("--quiet", "--config", str(file.absolute()), "status", "--json")
    command = Command(
        (*OWN_PROGRAM, *words), {**os.environ, "PATH": search_path()}, called="drkit", nothing_behind=True
    )
    began = time.monotonic()
    try:
        with tempfile.TemporaryFile() as output:
            done = execute.into_file_within(command, output, timeout.total_seconds(), _MOST_BYTES)
            output.seek(0)
            said = output.read()
    except ToolMissing as error:
        return _unknown(file, error, began)
    if done is None:
        late = ToolFailed(
            f"it came to no end within {timeout.total_seconds():.0f} seconds, and was ended",
            hint=f"run `drkit --config {file} status`; --timeout allows more",
        )
        return _unknown(file, late, began)
    try:
        return line_of(file, json.loads(said), done.code, time.monotonic() - began)
    except (ValueError, KeyError, TypeError, AttributeError):
        words_ = done.stderr.strip().splitlines()[-1:] or [f"it ended with exit code {done.code}"]
        return _unknown(file, Bug(f"its status is not understood: {words_[0]}"), began)


def line_of(file: Path, envelope: Mapping[str, Any], code: int, seconds: float) -> SiteLine:
    """A site's line from what its `status --json` has printed; pure.

    Raises ValueError, KeyError, TypeError or AttributeError for anything else.
    """
    error, found = envelope["error"] or {}, envelope["result"]
    kind, message = str(error.get("kind", "")), str(error.get("message", ""))
    hint, took = str(error.get("hint", "")), round(seconds, 3)
    if found is None:
        return SiteLine(str(file), file.stem, SiteState.UNKNOWN, code or 1, kind, message, hint, seconds=took)
    red = tuple(str(each["message"]) for each in found["findings"] if each["red"])
    warnings = tuple(str(each["message"]) for each in found["findings"] if not each["red"])
    drill = found["last_passed_drill"]
    return SiteLine(
        file=str(file),
        site=str(found["site"]),
        state=_state(code, green=bool(found["green"]), warnings=bool(warnings)),
        exit_code=code,
        kind=kind,
        message=message,
        hint=hint,
        newest_point=found["newest_point"],
        newest_point_at=_moment(found["newest_point_at"]),
        last_passed_drill_at=_moment(drill["finished_at"] if drill else None),
        missed=tuple(each["name"] for each in found["objectives"] if not each["met"]),
        red=red,
        warnings=warnings,
        seconds=took,
    )


def _state(code: int, *, green: bool, warnings: bool) -> SiteState:
    if code in _NOT_LISTED:
        return SiteState.UNREADABLE
    if code == 0 and green:
        return SiteState.WARNINGS if warnings else SiteState.GREEN
    return SiteState.RED if code == NotGreen.exit_code else SiteState.UNKNOWN


def _unknown(file: Path, error: DrkitError, began: float) -> SiteLine:
    took = round(time.monotonic() - began, 3)
    code, kind = error.exit_code, error.kind
    return SiteLine(
        str(file), file.stem, SiteState.UNKNOWN, code, kind, error.message, error.hint, seconds=took
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
