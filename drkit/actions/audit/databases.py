"""What the databases of a site say of its images: one short read-only transaction each."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.actions.needed_digests import list_needed
from drkit.database import locked
from drkit.harbor import garbage_collection, tables, torn, wording
from drkit.harbor.relations import OF_IMAGES
from drkit.model import RelationEvidence
from drkit.tools.postgres import sessions
from drkit.tools.postgres.sessions import Session


@dataclass(frozen=True)
class ProjectSize:
    """A project as Harbor counts it for its quota."""

    blobs: int
    bytes: int


@dataclass(frozen=True)
class DatabaseView:
    """What the Harbor databases among those of a site say; `others` are databases that are no Harbor's.

    `listed` is the sorted list of digests that must be stored; None where no Harbor is among them.
    """

    names: tuple[str, ...]
    others: tuple[str, ...]
    listed: Path | None
    consistent_at: datetime | None
    projects: dict[str, ProjectSize]
    torn: tuple[tuple[str, RelationEvidence], ...]
    notes: tuple[str, ...]


def look(settings: config.Config, directory: Path) -> DatabaseView:
    """Ask every database, in the snapshots of one moment; nothing is held any more when this returns.

    Raises DatabaseUnreachable, DatabaseBusy, ToolFailed.
    """
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(locked.hold(entry)) for entry in settings.databases]
        harbor = [each for each in held if tables.is_harbor(each.session)]
        others = tuple(each.name for each in held if each not in harbor)
        listed = list_needed(harbor, directory).file if harbor else None
        projects: dict[str, ProjectSize] = {}
        found: list[tuple[str, RelationEvidence]] = []
        notes: list[str] = []
        for each in harbor:
            with locked.shared_session(each) as session:
                projects |= {name: ProjectSize(*size) for name, *size in tables.project_sizes(session)}
                found += ((each.name, one) for one in torn.measure_all(session, OF_IMAGES) if one.torn)
                notes += _collection(session)
        moments = [each.consistent_at for each in held]
        names = tuple(each.name for each in harbor)
        return DatabaseView(
            names, others, listed, min(moments, default=None), projects, tuple(found), tuple(notes)
        )


def _collection(session: Session) -> Iterator[str]:
    found = garbage_collection.under_way(session)
    if found:
        yield f"{found.sentence}: what is unreferenced may be gone soon"


def sentence(found: RelationEvidence) -> str:
    """`3 of 120 tags are without artifact (artifact_id 17, for one)`."""
    return wording.relation(found)


class Again:
    """Single questions to the databases as they are now, long after the snapshots."""

    def __init__(self, settings: config.Config, names: Collection[str]) -> None:
        self._entries = [entry for entry in settings.databases if entry.name in names]

    def still_needed(self, digests: Sequence[str]) -> set[str]:
        """Those of the digests that must be stored."""
        found: set[str] = set()
        for session in self._sessions():
            found |= {digest for digest, _size in tables.digests(session, digests)}
        return found

    def has_image(self, repository: str, digest: str) -> bool:
        """Whether a database knows this image."""
        return any(tables.has_image(session, repository, digest) for session in self._sessions())

    def _sessions(self) -> Iterable[Session]:
        for entry in self._entries:
            with sessions.connect(locked.target_of(entry), reads=True) as session:
                session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield session
