"""Files belong to uid 10000 where Harbor runs; root can have it so here as well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HARBOR_UID = 10_000


def give(directory: Path) -> None:
    """Give the whole tree to Harbor's user; an ordinary user cannot, and keeps it."""
    if os.getuid() != 0:
        return
    for where, directories, files in os.walk(directory):
        for name in (".", *directories, *files):
            path = os.path.join(where, name)  # noqa: PTH118
            # A backup takes a file whose ctime has changed for a changed one, and reads it again.
            if os.lstat(path).st_uid != HARBOR_UID:
                os.chown(path, HARBOR_UID, HARBOR_UID, follow_symlinks=False)
