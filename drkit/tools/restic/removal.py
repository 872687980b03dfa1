"""Whether a repository lets this host remove from it, found out without removing or leaving anything."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from drkit.errors import ToolFailed
from drkit.tools.restic import rest_server
from drkit.tools.restic.removals import NOBODY, Removals

_FOLDERS = ("snapshots", "index", "data")
# ioctl_iflags(2); `lsattr` shows them as `i` and `a`.
_GET_FLAGS = 0x80086601
_IMMUTABLE, _APPEND = 0x10, 0x20


def look(url: str, credentials: Mapping[str, str]) -> Removals:
    """Whether snapshots and data may be removed from a repository."""
    if url.startswith("rest:"):
        return _ask_server(url, credentials)
    if url.startswith("s3:"):
        # Loaded here, for few repositories are in a bucket.
        from drkit.tools.restic import removal_s3

        return removal_s3.look(url, credentials)
    path = Path(url.removeprefix("local:"))
    if path.is_dir():
        return _look_at_directory(path)
    return Removals(None, "this kind of repository does not tell before something is removed")


def _look_at_directory(path: Path) -> Removals:
    for folder in (path / name for name in _FOLDERS):
        if not os.access(folder, os.W_OK | os.X_OK):
            return Removals(False, f"{folder} is not writable")
        if _flags(folder) & (_IMMUTABLE | _APPEND):
            return Removals(False, f"{folder} is append-only or immutable (see lsattr)")
    return Removals(True, "its directories are writable")


def _flags(folder: Path) -> int:
    """The attributes of a directory, none where its file system has no such thing."""
    flags = array.array("L", [0])
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _GET_FLAGS, flags)
        finally:
            os.close(descriptor)
    return flags[0]


def _ask_server(address: str, credentials: Mapping[str, str]) -> Removals:
    """A server that is append-only refuses to remove what is not there, too."""
    try:
        answer = rest_server.request("DELETE", address, NOBODY, credentials)
    except ToolFailed as error:
        return Removals(None, error.message)
    said = f"its server answers {answer.status_code} to a removal"
    match answer.status_code:
        case 403 | 405:
            return Removals(False, said)
        case 200 | 204 | 404:
            return Removals(True, said)
        case _:
            return Removals(None, said)
