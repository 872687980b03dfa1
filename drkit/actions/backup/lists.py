"""The lists of an attempt: images by tag and digest, and what somebody has set up, by name.

Read in the snapshots that are dumped, so that nobody has to look into a dump for them.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterable, Sequence
from operator import itemgetter

from drkit.actions.backup.draft import Draft
from drkit.database import locked
from drkit.database.locked import LockedDatabase
from drkit.errors import DatabaseBusy, SourceChanged, ToolFailed
from drkit.harbor import listing, named
from drkit.model import PartKind
from drkit.registry import image_list


class Lists:
    """Writes the lists of one attempt into what is to be its seal."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def take(self, harbor: Sequence[LockedDatabase]) -> None:
        """Write the lists of these databases of Harbor's; raises ToolFailed."""
        with contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(locked.shared_session(each)) for each in harbor]
            images = heapq.merge(*map(listing.images, sessions), key=itemgetter(0, 1, 2))
            self._seal("tags", image_list.FILE_NAME, image_list.to_lines(images))
            try:
                names = heapq.merge(*map(listing.names, sessions))
                self._seal("names", named.FILE_NAME, named.to_lines(names))
            except (DatabaseBusy, SourceChanged):
                raise
            except ToolFailed as error:
                # Tables unlike those that are known must not keep a backup from being taken.
                self._draft.warnings.append(f"what is set up in Harbor could not be listed: {error.message}")

    def _seal(self, kind: PartKind, name: str, pieces: Iterable[bytes]) -> None:
        part, written = self._draft.begin(kind, kind, name), self._draft.directory / name
        with written.open("wb") as file:
            file.writelines(pieces)
        part.seal(written)
