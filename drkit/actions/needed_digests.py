"""Listing what must be among the blobs of a Harbor: for a backup's closure, and for an audit."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drkit.blobs import digests
from drkit.blobs.survey import ARTIFACTS, keep_images
from drkit.database import locked
from drkit.database.locked import LockedDatabase
from drkit.harbor import tables


@dataclass(frozen=True)
class Needed:
    """The sorted list of digests, and how many there are."""

    file: Path
    count: int


def list_needed(harbor: Sequence[LockedDatabase], directory: Path) -> Needed:
    """List it in the database's own order, so that nothing is sorted here; and the images, for the survey."""
    listed = directory / digests.FILE_NAME
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(locked.shared_session(each)) for each in harbor]
        streams = [tables.digests(session) for session in sessions]
        count = digests.write(listed, digests.merged(streams))
        images = [tables.artifacts(session) for session in sessions]
        digests.write(directory / ARTIFACTS, digests.merged(images))
        known = (i for session in sessions for i in tables.images(session) if not i.proxy)
        if sessions:
            keep_images(directory, ((each.repository, each.digest) for each in known))
    return Needed(listed, count)
